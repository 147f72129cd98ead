"""A prediction is the makespan of `replay`, and the work for it does not grow with the run."""

from dataclasses import replace
from math import isnan

import pytest
from call_count import call_count

from adjoint.planning import Prediction
from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    HRevolve,
    Mixed,
    Multistage,
    Periodic,
    Revolve,
    Spilling,
    StoreAll,
)
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

IN_MEMORY = Costs(
    advance=1.0, record=0.25, unreached=0.5, pull_back=2.0, driver_overhead=0.0625, turn=3.0
)
WITH_FILE = replace(IN_MEMORY, write=8.0, read=6.0, post=0.125, slowdown=1.25, read_slowdown=1.125)
TAPED = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=8.0, read=6.0)


@pytest.mark.parametrize(
    ("schedule", "costs"),
    [
        (StoreAll(41, leaf_steps=4), IN_MEMORY),
        (Revolve(401, 3, leaf_steps=4), IN_MEMORY),
        (Revolve(3, 3, leaf_steps=4), IN_MEMORY),
        (Periodic(403, 20, leaf_steps=4), IN_MEMORY),
        (Mixed(400, 4, 1, unreached=0.5), IN_MEMORY),
        (Mixed(400, 4, 9), replace(IN_MEMORY, unreached=1.0)),
        (Multistage(400, 3, 6), replace(WITH_FILE, slowdown=1.0, read_slowdown=1.0)),
        (
            DiskRevolve(400, 3, write=8.125, read=6.125),
            replace(WITH_FILE, slowdown=1.0, read_slowdown=1.0),
        ),
        (Asynchronous(103, 6, 200), WITH_FILE),
        (Spilling(400, 6, 9.5, costs=WITH_FILE), WITH_FILE),
        (Spilling(400, 6, 9.5, costs=TAPED, tape_slots=1), TAPED),
        (HRevolve(100, 3, 4, write=2, read=2), Costs(write=2, read=2)),
    ],
    ids=repr,
)
def test_exactly(schedule, costs):
    makespan = price(schedule, costs).makespan
    assert Prediction(schedule, costs).seconds == pytest.approx(makespan, rel=1e-9)


@pytest.mark.parametrize("tape_slots", [0, 1])
@pytest.mark.parametrize("write", [5.0, 8.0, 12.0])
def test_long_spilling_stacks_closely_though_made_for_other_costs(tape_slots, write):
    schedule = Spilling(12_000, 6, 9.5, costs=TAPED, tape_slots=tape_slots)
    costs = replace(TAPED, write=write)
    makespan = price(schedule, costs).makespan
    assert Prediction(schedule, costs).seconds == pytest.approx(makespan, rel=0.01)


@pytest.mark.parametrize(
    "make",
    [
        StoreAll,
        lambda n: Revolve(n, 20),
        lambda n: Mixed(n, 20, 1),
        lambda n: Spilling(n, 6, 9.5, costs=TAPED),
        lambda n: Spilling(n, 6, 9.5, costs=TAPED, tape_slots=1),
    ],
)
def test_work_does_not_grow_with_the_run(make):
    few, many = (call_count(lambda n=n: Prediction(make(n), TAPED).seconds) for n in (10**5, 10**7))
    assert many <= 1.5 * few + 1000


class Plain:
    """A schedule of no family: one that wraps another."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __getattr__(self, name):
        return getattr(self.schedule, name)

    def __iter__(self):
        return iter(self.schedule)


def test_other_schedules_are_played_if_they_are_short():
    short, long = Revolve(60, 4), Revolve(10**9, 4)
    assert Prediction(Plain(short), IN_MEMORY).seconds == price(short, IN_MEMORY).makespan
    assert isnan(Prediction(Plain(long), IN_MEMORY).seconds)


def test_what_is_known_is_not_worked_out_again():
    assert Prediction(Revolve(60, 4), IN_MEMORY, 7.0).seconds == 7.0


def test_nothing_is_predicted_of_what_is_not_known():
    assert isnan(Prediction(Revolve(60, 4), None).seconds)
    open_ended = Spilling(None, 6, 9.5, costs=TAPED, max_file_states=9)
    assert isnan(Prediction(open_ended, TAPED).seconds)
