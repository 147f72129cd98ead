"""The error names the index of the first wrong action, the action, and what is wrong."""

import re

import pytest

from adjoint.errors import ArgumentError, ScheduleError
from adjoint.schedules import Revolve
from adjoint.schedules.actions import (
    Action,
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
KEPT = [Store(0), Advance(0, 1)]
TURNED = [*KEPT, Record(1, 2), Turn(), PullBack(1, 2)]
LAST = [Record(0, 1), PullBack(0, 1)]
WRITTEN = [Store(0), Offload(0), Wait(0)]
IN_FILE = [*WRITTEN, Discard(0, MEMORY)]

# (correct actions, the first wrong action or None for the end, what the error says)
WRONG = [
    ([], None, "no Turn"),
    ([], Advance(1, 2), "live state is at 0, not at 1"),
    ([], Advance(0, 0), "no step"),
    ([], Advance(0, 3), "only 2 steps"),
    ([], Record(1, 2), "live state is at 0, not at 1"),
    ([], Record(0, 3), "only 2 steps"),
    ([], Turn(), "live state is at 0, not at the last state, 2"),
    ([Advance(0, 1), Record(1, 2)], PullBack(1, 2), "not there before the Turn"),
    ([Advance(0, 2), Turn()], Turn(), "a Turn already"),
    ([Advance(0, 2), Turn()], PullBack(1, 2), "no tape"),
    ([Record(0, 2), Turn()], PullBack(1, 2), "no tape"),
    ([Record(0, 1), Record(1, 2), Turn()], PullBack(0, 1), "adjoint is at 2, not at 1"),
    ([Record(0, 2), Turn(), PullBack(0, 2)], Advance(0, 1), "nothing may follow"),
    ([*TURNED], Advance(2, 3), "undefined"),
    ([*TURNED], Store(1), "undefined"),
    ([*TURNED, Restore(0)], Record(0, 2), "adjoint is at 1"),
    ([*TURNED, Restore(0), Record(0, 1), Restore(0)], Record(0, 1), "kept already"),
    ([*TURNED], None, "not reversed"),
    ([*TURNED, Restore(0), *LAST], None, "left over in slots: 0"),
    ([*WRITTEN, Record(0, 2), Turn(), PullBack(0, 2)], None, "left over in slots"),
    ([*IN_FILE, Record(0, 2), Turn(), PullBack(0, 2)], None, "left over in the file: 0"),
    ([Record(0, 1), Record(1, 2), Turn(), PullBack(1, 2)], None, "not reversed"),
    ([], Store(1), "not at 1"),
    ([Store(0)], Store(0), "has this snapshot already"),
    ([*KEPT, Store(1)], Advance(0, 2), "live state is at 1"),
    ([*KEPT, Store(1), Advance(1, 2)], Store(2), "no slot is free: they hold 0, 1"),
    ([], Restore(0), "nor has the file"),
    ([Store(0), Discard(0, MEMORY)], Restore(0), "nor has the file"),
    ([*IN_FILE, Prefetch(0)], Restore(0), "still being read"),
    ([Store(0), Offload(0), Discard(0, MEMORY)], Restore(0), "wait for it before reading"),
    ([Store(0), Offload(0), Discard(0, MEMORY)], Prefetch(0), "wait for it before reading"),
    ([], Prefetch(0), "does not have"),
    ([*WRITTEN], Prefetch(0), "has this snapshot already"),
    ([*IN_FILE, Prefetch(0)], Prefetch(0), "has this snapshot already"),
    ([*IN_FILE, Prefetch(0)], Discard(0, MEMORY), "still being read"),
    ([*IN_FILE, Prefetch(0)], Discard(0, FILE), "under way"),
    ([], Offload(0), "no slot"),
    ([*WRITTEN], Offload(0), "already"),
    ([Store(0), Offload(0)], Offload(0), "already"),
    ([*WRITTEN, Advance(0, 1), Store(1)], Offload(1), "file is full: it has 0"),
    ([Store(0), Offload(0)], Discard(0, FILE), "under way"),
    ([Store(0)], Discard(0, FILE), "does not have"),
    ([], Discard(0, MEMORY), "no slot"),
    ([Store(0)], Wait(0), "no transfer"),
    ([*WRITTEN], Wait(0), "no transfer"),
    ([Store(0)], Cancel(0), "no write"),
    ([*IN_FILE, Prefetch(0)], Cancel(0), "no write"),
    ([], Action(), "not an action"),
]


@pytest.mark.parametrize(("right", "wrong", "says"), WRONG)
def test_wrong(right, wrong, says):
    actions = right if wrong is None else [*right, wrong, Store(99), Turn()]
    what = "the end of the actions" if wrong is None else repr(wrong)
    with pytest.raises(ScheduleError) as caught:
        price(actions, Costs(write=5, read=5), num_steps=2, num_slots=2, file_states=1)
    message = str(caught.value)
    assert message.startswith(f"action {len(right)}, {what}: ")
    assert says in message


def test_too_few_slots_or_another_number_of_steps():
    schedule = Revolve(20, 4)
    assert price(schedule, num_slots=4, num_steps=20).peak_slots == 4
    with pytest.raises(ScheduleError, match=r"action \d+, Store\(\d+\): no slot is free"):
        price(schedule, num_slots=3)
    with pytest.raises(ScheduleError, match=r"Turn\(\): the live state is at 20, not .* 21"):
        price(schedule, num_steps=21)
    with pytest.raises(ScheduleError, match="only 19 steps"):
        price(schedule, num_steps=19)


def test_a_tape_that_nothing_pulls_back():
    actions = [Store(0), Record(0, 1), Record(1, 2), Turn(), PullBack(1, 2)]
    actions += [Restore(0), Discard(0, MEMORY), Advance(0, 1)]
    with pytest.raises(ScheduleError, match=r"the steps \[0, 1\) are not reversed"):
        price(actions)
    kept = [Record(0, 1), Restore(0), Discard(0, MEMORY), Record(0, 2)]
    with pytest.raises(ScheduleError, match=r"left over in tapes: \(0, 1\)"):
        price([Store(0), *kept, Turn(), PullBack(0, 2)])


@pytest.mark.parametrize("bad", [{"advance": -1.0}, {"slowdown": 0.5}, {"read": float("nan")}])
def test_bad_costs_are_refused(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        Costs(**bad)


@pytest.mark.parametrize(
    ("before", "wrong", "announced"),
    [
        ([Store(0), Advance(0, 1), Record(1, 2, reach_stop=False)], Turn(), "PullBack(1, 2)"),
        (
            [Store(0), Advance(0, 1), Record(1, 2), Turn(), PullBack(1, 2), Restore(0, keep=False)],
            Record(0, 1, reach_stop=False),
            f"Discard(0, {MEMORY!r})",
        ),
    ],
)
def test_a_flag_that_the_next_action_contradicts(before, wrong, announced):
    message = re.escape(f"action {len(before)}, {wrong}: {before[-1]} announced {announced}")
    with pytest.raises(ScheduleError, match=message):
        price([*before, wrong])
    with pytest.raises(ScheduleError, match=re.escape(f"{before[-1]} announced {announced}")):
        price(before)


def test_default_flags_cost_a_step_and_a_copy():
    costs = Costs(advance=1.0, pull_back=2.0, restore=0.25)
    start = [Store(0), Advance(0, 1), Record(1, 2), Turn(), PullBack(1, 2)]
    plain = [*start, Restore(0), Discard(0, MEMORY), Record(0, 1), PullBack(0, 1)]
    flagged = [
        *start,
        Restore(0, keep=False),
        Discard(0, MEMORY),
        Record(0, 1, reach_stop=False),
        PullBack(0, 1),
    ]
    assert price(plain, costs).makespan == price(flagged, costs).makespan + 1.25
