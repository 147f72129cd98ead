"""Whatever transfers fail, every step is reversed once, from its own state, within the slots.

Only if the initial state is lost, and no slot has it, does a run come to nothing.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from losing import Losing
from spilling_cases import PLAIN, spillings

from adjoint.errors import ScheduleError
from adjoint.schedules import Spilling
from adjoint.schedules.actions import Offload
from adjoint.schedules.costs import Costs

CHANCES = st.sampled_from([0, 0.05, 0.3, 0.9])


def check(schedule, seed, *, writes, reads):
    inner = getattr(schedule, "schedule", schedule)
    run = Losing(inner, schedule.num_steps, seed, writes=writes, reads=reads)
    if run.play():
        stack = run.stream._stack
        assert (stack.free, stack.locked, stack.in_file) == (inner.num_slots, 0, 0)
    assert run.toy.most_units <= inner.num_slots
    assert run.toy.most_in_file <= inner.file_states
    return run


@settings(max_examples=150)
@given(spillings(max_slots=8), st.integers(0, 99), CHANCES, CHANCES)
def test_on_any(schedule, seed, writes, reads):
    check(schedule, seed, writes=writes, reads=reads)


class LosingOne(Losing):
    """Loses one of the states that are in the file at some moment, if there is one."""

    def __init__(self, schedule, moment, which):
        super().__init__(schedule, schedule.num_steps, 0, writes=0, reads=0)
        self.countdown, self.which = moment, which

    def is_read(self, action):
        self.has_read = super().is_read(action)
        return self.has_read

    def fail_writes(self, action):
        self.countdown -= 1
        if self.countdown or self.has_read:
            return
        there = sorted({step for _tier, step in self.toy.file} | self.toy.writing.keys())
        there = [step for step in there if step not in self.toy.reading]
        if self.which < len(there) and (there[self.which] or 0 in self.toy.slots):
            self.lose(there[self.which])


@pytest.mark.parametrize(("slots", "tape_slots"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("repeats", [0, 1])
@pytest.mark.parametrize("steps", [5, 9])
def test_any_one_state_at_any_moment(steps, slots, tape_slots, repeats):
    costs = Costs(pull_back=2, write=1, read=0.3)
    options = {"costs": costs, "tape_slots": tape_slots, "patience": 1, "tail_repeats": repeats}
    schedule = Spilling(steps, slots, 1, **options)
    losses = 0
    for moment in range(1, len(list(schedule))):
        for which in range(steps):
            run = LosingOne(schedule, moment, which)
            assert run.play()
            assert run.toy.most_units <= slots
            losses += len(run.lost)
    assert losses


def test_without_any_write_all_is_recomputed_from_the_initial_state():
    runs = [check(Spilling(30, 3, 3, costs=PLAIN), seed, writes=1, reads=0) for seed in range(20)]
    whole = [run for run in runs if len(run.toy.reversed_steps) == 30]
    assert len(whole) > 5
    assert max(len(run.lost) for run in whole) > 5


def test_the_initial_state_cannot_be_done_without():
    stream = iter(Spilling(100, 2, 3, costs=PLAIN))
    for action in stream:
        if type(action) is Offload and action.step > 20:
            break
    with pytest.raises(ScheduleError, match="initial state is lost"):
        stream.snapshot_lost(0)


def test_only_what_is_in_the_file_can_be_lost():
    stream = iter(Spilling(100, 2, 6, costs=PLAIN, leaf_steps=2))
    for action in stream:
        if type(action) is Offload and action.step > 30:
            break
    stream.snapshot_lost(action.step)
    for step in (action.step, action.step + 2, 1000):
        with pytest.raises(ScheduleError, match=f"no state of step {step}"):
            stream.snapshot_lost(step)
    with pytest.raises(ScheduleError, match="only states at multiples of 2"):
        stream.snapshot_lost(3)
