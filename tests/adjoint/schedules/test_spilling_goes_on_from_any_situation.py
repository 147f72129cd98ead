"""A run that was interrupted is reversed correctly from whatever states the file has left.

The toy checks every state, every slot and every tape; the situations are drawn at random.
"""

import random

import pytest
from toy_executor import Toy

from adjoint.schedules import ResumePoint, Spilling
from adjoint.schedules.actions import Advance, Tier
from adjoint.schedules.costs import Costs

COSTS = Costs(advance=1.0, pull_back=2.0, write=3.0, read=2.5)


def drawn(seed):
    """Return a schedule, and a situation of its run, as a random one would be."""
    draw = random.Random(seed)
    leaf = draw.choice([1, 1, 3])
    n = draw.randint(2 * leaf, 60)
    slots = draw.randint(1, 6)
    schedule = Spilling(
        n,
        slots,
        leaf * draw.uniform(1, 9),
        costs=COSTS,
        leaf_steps=leaf,
        tail_slots=draw.randint(0, slots),
        tape_slots=draw.choice([0, 0, 1]),
    )
    last = (n - 1) // leaf
    stand = draw.randint(1, last)
    below = [k * leaf for k in range(1, stand) if draw.random() < 0.3]
    if draw.random() < 0.5:
        return schedule, ResumePoint([0, *below], live=stand * leaf)
    states = [0, *below] if draw.random() < 0.8 else []
    return schedule, ResumePoint(states, live=None, reversed_to=draw.choice([stand * leaf, n]))


def toy_in(situation, num_steps, tape_slots=0):
    toy = Toy(num_steps, tape_slots)
    for step in situation.in_file:
        toy.file[Tier.FILE, step] = toy.true[step]
    if situation.live is not None:
        toy.live = toy.true[situation.live]
    if situation.reversed_to is not None:
        toy.stand_at(situation.reversed_to)
    return toy


@pytest.mark.parametrize("seed", range(300))
def test_every_step_that_is_left_is_reversed(seed):
    schedule, situation = drawn(seed)
    toy = toy_in(situation, schedule.num_steps, schedule.tape_slots)
    toy.run(schedule.resume_from(situation))
    assert toy.most_units <= schedule.num_slots


@pytest.mark.parametrize("seed", range(60))
def test_the_end_may_not_be_known_yet(seed):
    draw = random.Random(seed)
    leaf, room = draw.choice([1, 2]), draw.randint(3, 9)
    n = draw.randint(10 * leaf, 80)
    schedule = Spilling(None, 4, 2.0 * leaf, costs=COSTS, leaf_steps=leaf, file_states=room)
    stand = draw.randint(1, (n - 1) // leaf - 1)
    states = sorted({0, *(draw.randrange(stand) * leaf for _ in range(room - 2))})
    situation = ResumePoint(states, live=stand * leaf)

    def until_the_end(stream):
        ended = False
        for action in stream:
            is_last = not ended and type(action) is Advance and action.stop >= n
            yield Advance(action.start, n) if is_last else action
            if is_last:
                stream.set_num_steps(n)
                ended = True

    toy = toy_in(situation, n)
    toy.run(until_the_end(schedule.resume_from(situation)))
    assert toy.most_in_file <= room


def test_nothing_may_be_left():
    schedule = Spilling(40, 3, 5.0, costs=COSTS)
    for states in ([], [0]):
        assert list(schedule.resume_from(ResumePoint(states, live=None, reversed_to=0))) == []


def test_a_fresh_run_is_a_situation_too():
    schedule = Spilling(40, 3, 5.0, costs=COSTS)
    assert list(schedule.resume_from(ResumePoint([], live=0))) == list(schedule)
