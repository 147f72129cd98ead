"""A shortened schedule has the same type, slots and leaves, and few enough actions."""

from dataclasses import dataclass

import pytest

from adjoint.errors import ArgumentError
from adjoint.schedules import Asynchronous, Revolve
from adjoint.simulation.shortened import HasInterval, shortened


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
def test_a_schedule_with_too_many_actions(schedule, shorter):
    found = shortened(schedule, 30_000)
    assert type(found) is type(schedule)
    assert sum(1 for _ in found) <= 30_000
    assert found.leaf_steps == schedule.leaf_steps
    if shorter is not Revolve:
        assert repr(found) == repr(shorter)


def test_a_schedule_with_few_actions_is_returned_itself():
    schedule = Revolve(100, 5)
    assert shortened(schedule, 1000) is schedule


def test_a_schedule_that_is_no_dataclass_is_refused():
    class Opaque(Revolve):
        def __init__(self):
            super().__init__(10**6, 3)

        def __repr__(self):
            return "<a schedule of my own>"

    with pytest.raises(ArgumentError, match="must be a dataclass with a field num_steps"):
        shortened(Opaque(), 1000)


def test_a_dataclass_of_a_user_is_shortened_to_a_dozen_intervals():
    @dataclass(frozen=True)
    class Own:
        num_steps: int
        interval: float
        leaf_steps = 1

        def __iter__(self):
            return iter(Revolve(self.num_steps, 3))

    assert isinstance(Own(10, 2.5), HasInterval)
    assert not isinstance(Revolve(10, 2), HasInterval)
    assert shortened(Own(10**6, 2.5), 1000) == Own(30, 2.5)
