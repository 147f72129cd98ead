"""The first actions of a very long run take little time, and memory for the slots only."""

import tracemalloc
from itertools import islice

import pytest

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
    TapesInFile,
)
from adjoint.schedules.costs import Costs

LONG = 10**13
COSTS = Costs(pull_back=2, write=10, read=10)


@pytest.mark.parametrize(
    "schedule",
    [
        StoreAll(LONG),
        Revolve(LONG, 20),
        Revolve(LONG, 10**6, leaf_steps=1000),
        Asynchronous(LONG, 20, 10**9),
        Asynchronous(LONG, 20, 8),
        Periodic(LONG, 10**7),
        DiskRevolve(LONG, 20, write=5, read=5),
        DiskRevolve(LONG, 20, write=1e9, read=5, max_file_states=3),
        HRevolve(LONG, 5, 7, write=2, read=2),
        Multistage(LONG, 10, 10),
        Mixed(LONG, 20, 1),
        Mixed(LONG, 16, 4, unreached=0.75),
        Spilling(LONG, 16, 10.5, costs=COSTS, tail_slots=3),
        Spilling(LONG, 16, 10.5, costs=COSTS, tape_slots=1),
        TapesInFile(LONG, 9, 2, costs=COSTS),
        Spilling(None, 16, 10.5, costs=COSTS, max_file_states=100),
    ],
    ids=repr,
)
def test_first_actions(schedule):
    tracemalloc.start()
    try:
        count = sum(1 for _ in islice(schedule, 20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    # a snapshot takes a few integers, and at most every second action stores one
    assert peak < 300 * 20_000
