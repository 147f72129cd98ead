"""Schedules are frozen dataclasses, equal by value, that `dataclasses.replace` makes shorter."""

from dataclasses import FrozenInstanceError, is_dataclass, replace

import pytest
from every_schedule import small_cases

from adjoint.errors import ScheduleError
from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    HRevolve,
    Mixed,
    Multistage,
    Online,
    Periodic,
    Revolve,
    StoreAll,
    TapesInFile,
)
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

# the schedule of 100 steps, and the same for 37
PAIRS = [
    (StoreAll(100), StoreAll(37)),
    (Revolve(100, 50, leaf_steps=2), Revolve(37, 50, leaf_steps=2)),
    (Periodic(100, 10), Periodic(37, 10)),
    (Multistage(100, 40, 3), Multistage(37, 40, 3)),
    (DiskRevolve(100, 3, write=2, read=1), DiskRevolve(37, 3, write=2, read=1)),
    (HRevolve(100, 3, 5, write=2, read=1), HRevolve(37, 3, 5, write=2, read=1)),
    (Mixed(100, 50, 2, unreached=0.5), Mixed(37, 50, 2, unreached=0.5)),
    (Asynchronous(100, 9, 4, staging=7), Asynchronous(37, 9, 4, staging=7)),
    (TapesInFile(100, 5, 2, costs=Costs()), TapesInFile(37, 5, 2, costs=Costs())),
]


@pytest.mark.parametrize(("schedule", "shorter"), PAIRS, ids=repr)
def test_replace_makes_the_shorter_schedule(schedule, shorter):
    found = replace(schedule, num_steps=37)
    assert found == shorter != schedule
    assert hash(found) == hash(shorter)
    assert list(found) == list(shorter)


def test_replace_checks_its_arguments():
    with pytest.raises(ScheduleError, match="num_steps is 0"):
        replace(Revolve(9, 2), num_steps=0)


@pytest.mark.parametrize("schedule", [*(pair[0] for pair in PAIRS), Online(3)], ids=repr)
def test_fields_cannot_be_changed(schedule):
    with pytest.raises(FrozenInstanceError):
        schedule.num_slots = 5


def test_shorter_schedules_of_every_family_are_correct():
    for schedule in small_cases(max_steps=12, max_slots=4):
        if not is_dataclass(schedule) or schedule.num_steps == 1:
            continue
        assert list(replace(schedule)) == list(schedule), schedule
        shorter = replace(schedule, num_steps=schedule.num_steps - 1)
        assert shorter.num_slots <= schedule.num_slots
        price(
            shorter,
            num_steps=schedule.num_steps - 1,
            num_slots=schedule.num_slots,
            file_states=schedule.file_states,
            tape_slots=schedule.tape_slots,
        )
