"""An interrupted run is reversed correctly from whatever states the file and the slots have left.

The toy checks every state, every slot and every tape; the points are drawn at random.
"""

import random

import pytest
from toy_executor import Toy

from adjoint.errors import ScheduleError
from adjoint.schedules import ResumePoint, Spilling
from adjoint.schedules.actions import Advance, Prefetch, Restore, Tier, Wait
from adjoint.schedules.costs import Costs

COSTS = Costs(advance=1.0, pull_back=2.0, write=3.0, read=2.5)


def drawn(seed):
    """Return a schedule, and a point of its run, as a random one would be."""
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
    in_file = [k * leaf for k in range(stand) if draw.random() < 0.3]
    in_memory = sorted(draw.sample(range(stand), min(stand, draw.randint(0, slots))))
    in_memory = [k * leaf for k in in_memory]
    if 0 not in in_memory:
        in_file = sorted({0, *in_file})
    if draw.random() < 0.5:
        live = draw.choice([stand * leaf, stand * leaf, n, None])
        return schedule, ResumePoint(in_file, live=live, in_memory=in_memory)
    if draw.random() < 0.2:
        in_file = in_memory = []
    reversed_to = draw.choice([stand * leaf, n])
    return schedule, ResumePoint(in_file, live=None, reversed_to=reversed_to, in_memory=in_memory)


def toy_at(point, num_steps, tape_slots=0):
    toy = Toy(num_steps, tape_slots)
    for step in point.in_file:
        toy.file[Tier.FILE, step] = toy.true[step]
    for step in point.in_memory:
        toy.slots[step] = toy.true[step]
    if point.live is not None:
        toy.live = toy.true[point.live]
    elif point.in_file or point.in_memory:
        toy.live = None
    if point.reversed_to is not None:
        toy.stand_at(point.reversed_to)
    return toy


@pytest.mark.parametrize("seed", range(400))
def test_every_step_that_is_left_is_reversed(seed):
    schedule, point = drawn(seed)
    toy = toy_at(point, schedule.num_steps, schedule.tape_slots)
    toy.run(schedule.resume_from(point))
    assert toy.most_units <= schedule.num_slots


def test_states_in_slots_are_neither_read_nor_recomputed():
    """States 0 … 3 are in slots: of the last leaf the state is live, of all others it is there."""
    schedule = Spilling(5, 4, 1.0, costs=COSTS)
    actions = list(schedule.resume_from(ResumePoint([], live=4, in_memory=[0, 1, 2, 3])))
    assert not any(isinstance(action, (Advance, Prefetch, Wait)) for action in actions)
    assert [action.step for action in actions if isinstance(action, Restore)] == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("point", "says"),
    [
        (ResumePoint([0], live=30, in_memory=[5, 10, 15]), "3 states are in 2 slots"),
        (ResumePoint([5, 10], live=30), "first state kept is that of step 5"),
        (ResumePoint([10], live=None, reversed_to=20, in_memory=[5]), "that of step 5"),
    ],
)
def test_impossible_points_are_refused(point, says):
    with pytest.raises(ScheduleError, match=says):
        Spilling(40, 2, 5.0, costs=COSTS).resume_from(point)


@pytest.mark.parametrize("seed", range(60))
def test_the_end_may_not_be_known_yet(seed):
    draw = random.Random(seed)
    leaf, room = draw.choice([1, 2]), draw.randint(3, 9)
    n = draw.randint(10 * leaf, 80)
    schedule = Spilling(None, 4, 2.0 * leaf, costs=COSTS, leaf_steps=leaf, max_file_states=room)
    stand = draw.randint(1, (n - 1) // leaf - 1)
    states = sorted({0, *(draw.randrange(stand) * leaf for _ in range(room - 2))})
    point = ResumePoint(states, live=stand * leaf)

    def until_the_end(stream):
        ended = False
        for action in stream:
            is_last = not ended and type(action) is Advance and action.stop >= n
            yield Advance(action.start, n) if is_last else action
            if is_last:
                stream.set_num_steps(n)
                ended = True

    toy = toy_at(point, n)
    toy.run(until_the_end(schedule.resume_from(point)))
    assert toy.most_in_file <= room


def test_nothing_may_be_left():
    schedule = Spilling(40, 3, 5.0, costs=COSTS)
    for states in ([], [0]):
        assert list(schedule.resume_from(ResumePoint(states, live=None, reversed_to=0))) == []


def test_the_beginning_is_a_point_too():
    schedule = Spilling(40, 3, 5.0, costs=COSTS)
    assert list(schedule.resume_from(ResumePoint([], live=0))) == list(schedule)
