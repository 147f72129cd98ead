"""A file that has room for fewer states than was announced: every other one makes room."""

import random

import pytest
from toy_executor import Toy

from adjoint.schedules import Spilling
from adjoint.schedules.actions import Advance, Offload
from adjoint.schedules.costs import Costs

COSTS = Costs(advance=1.0, pull_back=2.0, write=3.0, read=3.0)


def played(schedule, num_steps, room, after):
    """Return a toy that has played a schedule, whose room was announced `after` some actions."""
    toy = Toy(num_steps, schedule.tape_slots)
    stream = iter(schedule)
    in_file = []

    def telling():
        told = ended = False
        for count, action in enumerate(stream):
            is_last = schedule.num_steps is None and not ended
            if is_last and type(action) is Advance and action.stop >= num_steps:
                yield Advance(action.start, num_steps)
                stream.set_num_steps(num_steps)
                ended = True
                continue
            yield action
            if told and type(action) is Offload:
                in_file.append(len(toy.file) + len(toy.writing))
            if count == after:
                stream.set_capacity(max(room, len(toy.file) + len(toy.writing)))
                told = True

    toy.run(telling())
    return in_file


@pytest.mark.parametrize("seed", range(80))
def test_known_length(seed):
    draw = random.Random(seed)
    n, room = draw.randint(40, 400), draw.randint(1, 8)
    schedule = Spilling(
        n, draw.randint(1, 5), draw.uniform(1, 6), costs=COSTS, tail_slots=draw.choice([0, 1])
    )
    after = draw.randint(0, 60)
    in_file = played(schedule, n, room, after)
    assert max(in_file, default=0) <= max(room, after)


@pytest.mark.parametrize("seed", range(30))
def test_unknown_length(seed):
    draw = random.Random(seed)
    n, room = draw.randint(40, 300), draw.randint(2, 5)
    schedule = Spilling(None, draw.randint(1, 5), 2.0, costs=COSTS, max_file_states=30)
    played(schedule, n, room, draw.randint(0, 40))


def test_nothing_changes_where_there_is_room():
    schedule = Spilling(200, 4, 5.0, costs=COSTS)
    stream = iter(schedule)
    stream.set_capacity(schedule.file_states)
    assert list(stream) == list(schedule)
