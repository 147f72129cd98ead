"""Event times, stalls and counts of small streams, worked out by hand."""

import pytest

from adjoint.schedules.actions import (
    Advance,
    Cancel,
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
from adjoint.simulation.replay import Costs, price

MEMORY, FILE = Tier.MEMORY, Tier.FILE


def test_every_cost_is_charged_once():
    costs = Costs(
        advance=1,
        record=0.5,
        pull_back=2,
        write=0,
        read=0,
        post=0.25,
        store=10,
        restore=100,
        turn=1000,
    )
    actions = [
        *(Store(0), Offload(0), Wait(0), Discard(0, MEMORY)),  # 10 + 0.25
        *(Advance(0, 3), Record(3, 5), Turn(), PullBack(3, 5)),  # 3 + (2 + 1) + 1000 + 4
        *(Prefetch(0), Wait(0), Discard(0, FILE), Restore(0)),  # 0.25 + 100
        *(Advance(0, 1), Record(1, 3, reach_stop=False), PullBack(1, 3)),  # 1 + (1 + 1) + 4
        *(
            Restore(0, keep=False),
            Discard(0, MEMORY),
            Record(0, 1, reach_stop=False),
            PullBack(0, 1),
        ),  # 0.5 + 2
    ]
    found = price(actions, costs, num_steps=5, num_slots=1, file_states=1)
    assert found.makespan == 10.25 + 3 + 3 + 1004 + 100.25 + 7 + 2.5
    assert (found.advances, found.leaf_advances, found.num_steps) == (4, 2 + 1 + 0, 5)
    assert (found.writes, found.reads, found.actions) == (1, 1, len(actions))
    assert (found.peak_slots, found.peak_file_states, found.stall) == (1, 1, 0)


def test_the_channel_carries_one_state_at_a_time_in_the_order_of_posting():
    actions = [
        *(Store(0), Offload(0), Advance(0, 1)),  # writes 0 in [0, 3]; now 1
        *(Store(1), Offload(1), Advance(1, 2)),  # writes 1 in [3, 6]; now 2
        *(Wait(0), Discard(0, MEMORY), Prefetch(0)),  # waits till 3; reads 0 in [6, 11]
        *(Record(2, 3), Turn(), PullBack(2, 3)),  # 3 + 1 + 1 = 5
        *(Wait(1), Discard(1, FILE)),  # waits till 6
        *(
            Restore(1, keep=False),
            Discard(1, MEMORY),
            Record(1, 2, reach_stop=False),
            PullBack(1, 2),
        ),  # 7
        *(Wait(0), Discard(0, FILE)),  # waits till 11
        *(
            Restore(0, keep=False),
            Discard(0, MEMORY),
            Record(0, 1, reach_stop=False),
            PullBack(0, 1),
        ),  # 12
    ]
    found = price(actions, Costs(write=3, read=5), num_slots=2)
    assert (found.makespan, found.stall, found.peak_slots) == (12, 1 + 1 + 4, 2)


def test_a_restore_straight_from_the_file_waits_for_earlier_transfers():
    actions = [
        *(Store(0), Offload(0), Wait(0), Discard(0, MEMORY)),  # now 4
        *(Advance(0, 1), Store(1), Offload(1)),  # now 5; writes 1 in [5, 9]
        *(Discard(1, MEMORY), Record(1, 2), Turn(), PullBack(1, 2)),  # now 7
        *(
            Restore(0),
            Record(0, 1),
            Wait(1),
            Discard(1, FILE),
            Discard(0, FILE),
        ),  # reads in [9, 12]
        PullBack(0, 1),
    ]
    found = price(actions, Costs(write=4, read=3))
    # the tape is pulled back after other actions, so recording it reached its stop: 13, then 14
    assert (found.makespan, found.stall) == (14, 4 + 5)
    assert (found.reads, found.peak_slots, found.leaf_advances) == (1, 1, 2)


@pytest.mark.parametrize(
    ("steps_meanwhile", "expected"),
    [
        (2, 2 * 2.0),  # all of it beside the write of 6
        (3, 6.0),  # just as long as the write
        (5, 6.0 + 2),  # 3 steps beside the write, 2 after it
    ],
)
def test_computing_is_slower_while_the_channel_is_busy(steps_meanwhile, expected):
    last = steps_meanwhile + 1
    run = [
        *(Store(0), Offload(0), Advance(0, steps_meanwhile), Wait(0)),
        *(Restore(0, keep=False), Discard(0, MEMORY), Discard(0, FILE)),
        *(Record(0, last), Turn(), PullBack(0, last)),
    ]
    found = price(run, Costs(write=6, pull_back=0, slowdown=2))
    assert found.makespan == max(expected, 6) + last
    assert found.stall == max(0, 6 - expected)


def test_reads_slow_computing_by_a_factor_of_their_own():
    run = [
        *(Store(0), Offload(0), Wait(0), Discard(0, MEMORY)),  # 0 is written in [0, 6]
        *(Prefetch(0), Advance(0, 2)),  # read in [6, 10], beside which a step takes 4: now 11
        *(Wait(0), Restore(0, keep=False), Discard(0, MEMORY), Discard(0, FILE)),
        *(Record(0, 3), Turn(), PullBack(0, 3)),
    ]
    found = price(run, Costs(write=6, read=4, pull_back=0, slowdown=2, read_slowdown=4))
    assert (found.makespan, found.stall) == (6 + 4 + 1 + 3, 6)


def test_a_discarded_slot_is_waited_for_until_its_write_is_done():
    def run(limit):
        actions = [
            *(Store(0), Offload(0), Discard(0, MEMORY), Advance(0, 1)),  # writes 0 in [0, 5]; now 1
            *(Store(1), Record(1, 2), Turn(), PullBack(1, 2)),
            *(Restore(1, keep=False), Discard(1, MEMORY), Wait(0), Restore(0), Discard(0, FILE)),
            *(Record(0, 1, reach_stop=False), PullBack(0, 1)),
        ]
        return price(actions, Costs(pull_back=0, write=5), num_slots=limit)

    assert (run(1).makespan, run(1).stall, run(1).peak_slots) == (5 + 1, 4, 1)
    assert (run(2).makespan, run(2).stall, run(2).peak_slots) == (5, 3, 2)


def test_later_transfers_move_up_when_a_write_is_cancelled():
    actions = [
        *(Store(0), Offload(0), Advance(0, 1)),  # writes 0 in [0, 10]
        *(Store(1), Offload(1), Advance(1, 2)),  # to be written in [10, 20]
        *(Store(2), Offload(2), Advance(2, 3)),  # to be written in [20, 30]
        *(Cancel(1), Discard(1, MEMORY), Wait(2), Discard(2, FILE)),  # 2 is written in [10, 20]
        *(Wait(0), Discard(0, FILE), Discard(2, MEMORY)),
        *(Restore(0, keep=False), Discard(0, MEMORY), Record(0, 3), Turn(), PullBack(0, 3)),
    ]
    found = price(actions, Costs(pull_back=0, write=10))
    assert (found.makespan, found.stall) == (20 + 3, 17)
    assert (found.writes, found.peak_file_states) == (2, 3)


def test_a_write_that_has_begun_is_waited_for_when_it_is_cancelled():
    actions = [
        *(Store(0), Offload(0), Advance(0, 1)),  # writes 0 in [0, 10]
        *(Cancel(0), Restore(0, keep=False), Discard(0, MEMORY)),
        *(Record(0, 3), Turn(), PullBack(0, 3)),
    ]
    found = price(actions, Costs(pull_back=0, write=10))
    assert (found.makespan, found.stall, found.writes) == (10 + 3, 9, 1)


def test_cancelling_a_write_frees_its_discarded_slot():
    actions = [
        *(Store(0), Offload(0), Advance(0, 1)),  # writes 0 in [0, 10]
        *(Store(1), Offload(1), Discard(1, MEMORY), Advance(1, 2)),  # to be written in [10, 20]
        *(Cancel(1), Store(2), Discard(2, MEMORY)),  # at once: the slot of 1 is free
        *(Wait(0), Discard(0, FILE), Restore(0, keep=False), Discard(0, MEMORY)),
        *(Record(0, 3), Turn(), PullBack(0, 3)),
    ]
    found = price(actions, Costs(pull_back=0, write=10), num_slots=2)
    assert (found.makespan, found.stall, found.peak_slots) == (10 + 3, 8, 2)


def test_the_model_of_the_theory():
    actions = [Store(0), Advance(0, 1), Record(1, 2), Turn(), PullBack(1, 2)]
    actions += [
        Restore(0, keep=False),
        Discard(0, MEMORY),
        Record(0, 1, reach_stop=False),
        PullBack(0, 1),
    ]
    # one advance, one more to reach the last state, and two steps reversed
    assert price(actions, Costs(advance=1, pull_back=2)).makespan == 1 + 1 + 2 * 2
