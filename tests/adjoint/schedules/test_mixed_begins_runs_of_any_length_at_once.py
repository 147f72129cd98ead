"""A run of any length is begun, and its peaks are known, after looking at few of its pieces."""

import tracemalloc
from itertools import islice

import pytest

from adjoint.schedules import Mixed


@pytest.mark.parametrize(
    ("schedule", "tapes"),
    [
        (Mixed(10**13, 20, 1), 21),
        (Mixed(10**13, 16, 4, unreached=0.75), 5),
        (Mixed(10**13, 10**6, 1, leaf_steps=1000), 10**6 + 1),
        (Mixed(10**9, 1, 1), 2),
        (Mixed(10**9, 4, 3), 2),
    ],
    ids=repr,
)
def test_first_actions(schedule, tapes):
    assert schedule.num_tapes == tapes
    offered = eval(repr(schedule)).num_slots
    assert schedule.num_slots == offered
    tracemalloc.start()
    try:
        count = sum(1 for _ in islice(schedule, 10_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < 300 * 10_000
