"""Small streams of the asynchronous scheme are those of the paper, action by action."""

from adjoint.schedules import Asynchronous, Revolve
from adjoint.schedules.actions import (
    Advance,
    Discard,
    Offload,
    Prefetch,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
    Wait,
)


def leaf(start, stop, *, restored=True):
    taken = [Restore(start, keep=False), Discard(start, Tier.MEMORY)] if restored else []
    return [*taken, Record(start, stop, reach_stop=False), PullBack(start, stop)]


def test_two_slots_and_a_tail_of_one_step():
    assert list(Asynchronous(7, 2, 2)) == [
        *(Store(0), Offload(0), Advance(0, 2)),
        *(Store(2), Offload(2), Advance(2, 4)),
        *(Wait(0), Discard(0, Tier.MEMORY), Store(4), Offload(4), Advance(4, 6)),
        *(Record(6, 7), Turn(), PullBack(6, 7)),
        # states 4 and 2 never left memory; 0 must be read
        *(Wait(4), Discard(4, Tier.FILE)),
        *(Restore(4), Advance(4, 5), Record(5, 6, reach_stop=False), PullBack(5, 6), *leaf(4, 5)),
        *(Wait(2), Discard(2, Tier.FILE), Prefetch(0)),
        *(Restore(2), Advance(2, 3), Record(3, 4, reach_stop=False), PullBack(3, 4), *leaf(2, 3)),
        *(Wait(0), Discard(0, Tier.FILE)),
        *(Restore(0), Advance(0, 1), Record(1, 2, reach_stop=False), PullBack(1, 2), *leaf(0, 1)),
    ]


def test_the_last_segment_evicts_what_it_has_no_slot_for():
    assert list(Asynchronous(6, 2, 2, leaf_steps=1)) == [
        *(Store(0), Offload(0), Advance(0, 2)),
        *(Store(2), Offload(2), Advance(2, 4)),
        *(Wait(0), Discard(0, Tier.MEMORY), Store(4)),
        *(Advance(4, 5), Record(5, 6), Turn(), PullBack(5, 6), *leaf(4, 5)),
        *(Wait(2), Discard(2, Tier.FILE), Prefetch(0)),
        *(Restore(2), Advance(2, 3), Record(3, 4, reach_stop=False), PullBack(3, 4), *leaf(2, 3)),
        *(Wait(0), Discard(0, Tier.FILE)),
        *(Restore(0), Advance(0, 1), Record(1, 2, reach_stop=False), PullBack(1, 2), *leaf(0, 1)),
    ]


def test_segments_of_one_leaf_and_one_staging_buffer():
    assert list(Asynchronous(8, 4, 3, leaf_steps=3, staging=1)) == [
        *(Store(0), Offload(0), Advance(0, 3)),
        *(Wait(0), Discard(0, Tier.MEMORY), Store(3), Offload(3), Advance(3, 6)),
        *(Record(6, 8), Turn(), PullBack(6, 8)),
        *(Wait(3), Discard(3, Tier.FILE), Prefetch(0), *leaf(3, 6)),
        *(Wait(0), Discard(0, Tier.FILE), *leaf(0, 3)),
    ]


def test_a_run_of_one_segment_is_revolve():
    for interval in (10, 12, 40):
        assert list(Asynchronous(10, 3, interval)) == list(Revolve(10, 3))
