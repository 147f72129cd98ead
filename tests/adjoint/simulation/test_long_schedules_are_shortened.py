"""A shortened schedule is of the same kind, with the same slots, and has few enough actions."""

import pytest

from adjoint.errors import ArgumentError
from adjoint.schedules import Asynchronous, Revolve
from adjoint.simulation.timeline import short_enough


@pytest.mark.parametrize(
    ("schedule", "shorter"),
    [
        (Revolve(10**9, 20, leaf_steps=3), Revolve(6000, 20, leaf_steps=3)),
        (Revolve(10**13, 20), Revolve(2000, 20)),
        (Asynchronous(10**9, 20, 100), Asynchronous(1200, 20, 100)),
        (Asynchronous(10**9, 20, 60, leaf_steps=6), Asynchronous(720, 12, 60, leaf_steps=6)),
        (Asynchronous(10**13, 20, 10**9), Revolve),
    ],
    ids=repr,
)
def test_too_long(schedule, shorter):
    found = short_enough(schedule, 30_000)
    assert type(found) is type(schedule)
    assert sum(1 for _ in found) <= 30_000
    assert found.leaf_steps == schedule.leaf_steps
    if shorter is not Revolve:
        assert repr(found) == repr(shorter)


def test_short_enough_already():
    schedule = Revolve(100, 5)
    assert short_enough(schedule, 1000) is schedule


def test_one_that_cannot_be_made_again():
    class Other(Revolve):
        def __init__(self):
            super().__init__(10**6, 3)

    with pytest.raises(ArgumentError, match="cannot be made for a shorter run"):
        short_enough(Other(), 1000)
