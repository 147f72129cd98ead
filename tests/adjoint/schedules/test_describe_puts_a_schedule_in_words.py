"""`describe` names a schedule with its slots, leaves, tapes, interval and states in the file."""

import pytest

from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    Mixed,
    Multistage,
    Online,
    Periodic,
    Revolve,
    Spilling,
    describe,
)
from adjoint.schedules.costs import Costs


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Revolve(1000, 8, leaf_steps=4), "Revolve, 8 slots, leaves of 4"),
        (Revolve(5_000_000, 1, leaf_steps=2000), "Revolve, 1 slot, leaves of 2,000"),
        (Periodic(100, 10), "Periodic, 18 slots, interval 10"),
        (Multistage(100, 2, 1), "Multistage, 2 slots, 1 state in the file"),
        (Asynchronous(9000, 2, 2), "Asynchronous, 2 slots, interval 2, 4,499 states in the file"),
        (DiskRevolve(100, 3, write=1e9, read=0), "DiskRevolve, 3 slots"),
        (Mixed(100, 5, 1), "Mixed, 5 slots, up to 6 tapes kept"),
        (Online(3), "Online, 3 slots"),
        (
            Spilling(100, 3, 10, costs=Costs(write=10)),
            "Spilling, 3 slots, interval 10.0, 10 states in the file",
        ),
    ],
)
def test_in_words(schedule, words):
    assert describe(schedule) == words


def test_a_schedule_of_ones_own_may_define_its_words():
    class Own(Revolve):
        def __str__(self):
            return "my own"

    assert describe(Own(9, 2)) == "my own"


def test_a_subclass_goes_by_its_own_name():
    class Own(Periodic):
        pass

    assert describe(Own(100, 10)) == "Own, 18 slots, interval 10"
