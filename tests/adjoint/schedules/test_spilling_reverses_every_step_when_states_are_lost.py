"""When transfers fail, a run resumed from what is left reverses every step, at a bounded cost.

The toy checks that each step is reversed once, from its own state, and that nothing is left over.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from losing import Losing
from spilling_cases import PLAIN, spillings

from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs

CHANCES = st.sampled_from([0, 0.05, 0.3, 0.9])


def check(schedule, seed, *, writes, reads):
    inner = getattr(schedule, "schedule", schedule)
    run = Losing(inner, schedule.num_steps, seed, writes=writes, reads=reads).play()
    books = run.stream.books
    assert (books.free, books.locked, books.in_file) == (books.num_slots, 0, 0)
    assert run.toy.most_units <= inner.num_slots
    assert run.toy.most_in_file <= inner.file_states
    return run


@settings(max_examples=200)
@given(spillings(max_slots=8), st.integers(0, 99), CHANCES, CHANCES)
def test_on_any(schedule, seed, writes, reads):
    check(schedule, seed, writes=writes, reads=reads)


class LosingOne(Losing):
    """Loses one of the states in the file after a given number of actions, if there is one."""

    def __init__(self, schedule, moment, which):
        super().__init__(schedule, schedule.num_steps, 0, writes=0, reads=0)
        self.countdown, self.which = moment, which

    def fail_writes(self, action):
        self.countdown -= 1
        if self.countdown == 0:
            there = sorted({step for _tier, step in self.toy.file} | self.toy.writing.keys())
            self.lose([step for step in there if step not in self.toy.reading][self.which :][:1])


@pytest.mark.parametrize(("slots", "tape_slots"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("repeats", [0, 1])
@pytest.mark.parametrize("steps", [5, 9])
def test_any_one_state_at_any_moment(steps, slots, tape_slots, repeats):
    costs = Costs(pull_back=2, write=1, read=0.3)
    options = {"costs": costs, "tape_slots": tape_slots, "tail_repeats": repeats}
    schedule = Spilling(steps, slots, 1, **options)
    losses = 0
    for moment in range(1, len(list(schedule))):
        for which in range(steps):
            run = LosingOne(schedule, moment, which).play()
            assert run.toy.most_units <= slots
            losses += len(run.lost)
    assert losses


@pytest.mark.parametrize(
    ("slots", "interval", "options"),
    [
        (1, 4, {}),
        (2, 6, {}),
        (4, 6, {"tail_slots": 1}),
        (4, 20, {}),
        (8, 30, {"tail_slots": 3}),
        (6, 12, {"tape_slots": 1}),
        (4, 30, {"tape_slots": 1}),
    ],
)
def test_a_lost_state_costs_no_more_than_advancing_twice_over_its_neighbours(
    slots, interval, options
):
    """The two intervals beside it are reversed as one; a slot keeps what it has.

    Losing the initial state costs more: in the forward sweep that is begun again, and where a slot
    still has the state it keeps it for the rest of the run.
    """
    costs = Costs(unreached=1, write=interval, read=interval)
    schedule = Spilling(300, slots, interval, costs=costs, **options)
    without = Losing(schedule, 300, 0, writes=0, reads=0).play().advanced
    moments, losses = len(list(schedule)), 0
    for seed in range(200):
        draw = random.Random(seed)
        run = LosingOne(schedule, draw.randint(1, moments), draw.randint(0, 300 // interval)).play()
        if run.lost in ([], [0]):
            continue
        losses += 1
        assert run.advanced - without <= 4 * interval, (seed, run.lost)
    assert losses > 50


def test_without_any_write_all_is_recomputed_from_the_initial_state():
    runs = [check(Spilling(30, 3, 3, costs=PLAIN), seed, writes=1, reads=0) for seed in range(20)]
    assert max(len(run.lost) for run in runs) > 5
