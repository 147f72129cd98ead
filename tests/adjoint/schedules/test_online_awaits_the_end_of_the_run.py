"""Online goes forward until the end is announced, then back; it refuses any other end."""

import tracemalloc
from itertools import islice

import pytest
from ended import Ended
from hypothesis import given
from hypothesis import strategies as st

from adjoint.errors import ScheduleError
from adjoint.schedules import Online
from adjoint.schedules.actions import Advance, Discard, PullBack, Record, Restore, Store, Tier, Turn
from adjoint.simulation.replay import price


def leaf(start, stop, *, turn=False):
    there = [
        Record(start, stop, reach_stop=turn),
        *([Turn()] if turn else []),
        PullBack(start, stop),
    ]
    return [Restore(start, keep=False), Discard(start, Tier.MEMORY), *there]


def test_a_run_that_ends_within_a_leaf():
    assert list(Ended(Online(4, leaf_steps=3), 8)) == [
        *(Store(0), Advance(0, 3), Store(3), Advance(3, 6), Store(6), Advance(6, 8)),
        *(*leaf(6, 8, turn=True), *leaf(3, 6), *leaf(0, 3)),
    ]


def test_a_run_that_ends_with_all_slots_taken():
    assert list(Ended(Online(2), 4)) == [
        *(Store(0), Advance(0, 1), Store(1), Advance(1, 3)),
        *(Discard(1, Tier.MEMORY), Store(3), Advance(3, 4), *leaf(3, 4, turn=True)),
        *(
            Restore(0),
            Advance(0, 1),
            Store(1),
            Advance(1, 2),
            Record(2, 3, reach_stop=False),
            PullBack(2, 3),
        ),
        *(*leaf(1, 2), *leaf(0, 1)),
    ]


def test_a_single_slot():
    assert list(Ended(Online(1, leaf_steps=2), 5)) == [
        *(Store(0), Advance(0, 2), Advance(2, 4), Advance(4, 5)),
        *(Restore(0), Advance(0, 4), Record(4, 5), Turn(), PullBack(4, 5)),
        *(Restore(0), Advance(0, 2), Record(2, 4, reach_stop=False), PullBack(2, 4), *leaf(0, 2)),
    ]


def test_replay_needs_the_number_of_steps():
    with pytest.raises(ScheduleError, match="give num_steps"):
        price(Online(3))


@given(st.integers(1, 6), st.integers(0, 60), st.integers(1, 4), st.integers(-5, 5))
def test_an_end_where_the_live_state_cannot_be(slots, played, leaf_steps, beyond):
    stream, last = iter(Online(slots, leaf_steps=leaf_steps)), Advance(0, 0)
    for action in islice(stream, played):
        last = action if type(action) is Advance else last
    end = last.stop + beyond
    if last.start < end <= last.stop:
        stream.set_num_steps(end)
        with pytest.raises(ScheduleError, match=f"ended at step {end}: it cannot end again"):
            stream.set_num_steps(end)
    else:
        with pytest.raises(ScheduleError, match=f"cannot end at step {end}.*{last.start}"):
            stream.set_num_steps(end)


@pytest.mark.parametrize("slots", [0, -2])
def test_at_least_one_slot_is_needed(slots):
    with pytest.raises(ScheduleError, match=f"num_slots is {slots}.*at least 1"):
        Online(slots)


@pytest.mark.parametrize("slots", [1, 3, 50, 10**6])
def test_memory_does_not_grow_with_the_run(slots):
    tracemalloc.start()
    try:
        count = sum(1 for _ in islice(Online(slots), 1500))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 1500
    # a few integers for each snapshot and gap, and a few cached costs for each gap
    assert peak < 200_000 + 1_000 * min(slots, 500)
