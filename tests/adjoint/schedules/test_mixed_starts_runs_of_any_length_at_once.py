"""Runs of any length start at once, and their tapes are counted from a few pieces."""

import tracemalloc
from itertools import islice

import pytest

from adjoint.schedules import Mixed


@pytest.mark.parametrize(
    ("schedule", "slots", "tapes"),
    [
        (Mixed(10**13, 20, 1), 20, 21),
        (Mixed(10**13, 16, 4, unreached=0.75), 16, 5),
        (Mixed(10**13, 10**6, 1, leaf_steps=1000), 10**6, 10**6 + 1),
        (Mixed(10**9, 1, 1), 1, 2),
        (Mixed(10**9, 4, 3), 4, 2),
    ],
    ids=repr,
)
def test_first_actions(schedule, slots, tapes):
    assert (schedule.num_slots, schedule.num_tapes) == (slots, tapes)
    tracemalloc.start()
    try:
        count = sum(1 for _ in islice(schedule, 10_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < 300 * 10_000
