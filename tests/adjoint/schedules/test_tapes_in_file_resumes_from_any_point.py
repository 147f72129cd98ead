"""An interrupted run is reversed correctly from whatever tapes and states are left of it.

The toy checks every state, every slot and every tape; points and interruptions are drawn at random.
"""

import random
from dataclasses import replace

import pytest
from toy_executor import Toy

from adjoint.errors import ScheduleError
from adjoint.schedules import ResumePoint, Spilling, TapesInFile
from adjoint.schedules.actions import Advance, OffloadTape, Record, Restore, RestoreTape, Tier
from adjoint.schedules.costs import Costs

COSTS = Costs(unreached=1, pull_back=2, write=3, read=2.5, piece_write=0.2, piece_read=0.2)


def drawn(draw):
    """Return a schedule, as a random run would have it."""
    leaf, tape_slots = draw.choice([1, 1, 3]), draw.randint(1, 3)
    n = draw.randint(2 * leaf, 90)
    slots = draw.randint(1 + tape_slots, 9)
    pieces = draw.randint(1, 3)
    return TapesInFile(n, slots, tape_slots, costs=COSTS, tape_pieces=pieces, leaf_steps=leaf)


def point_of(schedule, draw):
    """Return a point of its run."""
    n, leaf = schedule.num_steps, schedule.leaf_steps
    last = (n - 1) // leaf
    stand = draw.randint(1, last)
    leaves = range(stand)
    in_file = sorted({0, *(k * leaf for k in leaves if draw.random() < 0.1)})
    tapes = [k * leaf for k in leaves if draw.random() < draw.choice([0.2, 0.9])]
    in_memory = draw.sample(leaves, min(stand, draw.randint(0, schedule.num_slots)))
    in_memory = sorted(k * leaf for k in in_memory) if draw.random() < 0.3 else []
    if 0 in in_memory and draw.random() < 0.5:
        in_file.remove(0)
    if draw.random() < 0.5:
        live = draw.choice([stand * leaf, stand * leaf, n, None])
        return ResumePoint(in_file, live, in_memory=in_memory, tapes=tapes)
    reversed_to = draw.choice([stand * leaf, n])
    return ResumePoint(in_file, None, reversed_to, in_memory, tapes)


def toy_at(schedule, point):
    toy = Toy(schedule.num_steps, schedule.tape_slots, schedule.num_slots)
    put_in_file(toy, schedule, point.in_file, point.tapes)
    for step in point.in_memory:
        toy.slots[step] = toy.true[step]
    toy.live = None if point.live is None else toy.true[point.live]
    if point.reversed_to is not None:
        toy.stand_at(point.reversed_to)
    return toy


def put_in_file(toy, schedule, states, tapes):
    toy.file = {(Tier.FILE, step): toy.true[step] for step in states}
    for start in tapes:
        steps = range(start, start + schedule.leaf_steps)
        toy.tapes_in_file[start, steps.stop] = [(step, toy.true[step]) for step in steps]


@pytest.mark.parametrize("seed", range(400))
def test_every_step_that_is_left_is_reversed(seed):
    draw = random.Random(seed)
    schedule = drawn(draw)
    point = point_of(schedule, draw)
    toy = toy_at(schedule, point)
    toy.run(schedule.resume_from(point))
    assert toy.most_units <= schedule.num_slots


def test_leaves_that_have_a_tape_are_not_recorded_again():
    schedule = TapesInFile(90, 4, 1, costs=COSTS, leaf_steps=3)
    tapes = [start for start in range(0, 60, 3) if start not in {27, 30, 48}]
    point = ResumePoint([0, 24, 45], None, 60, tapes=tapes)
    actions = list(schedule.resume_from(point))
    assert [action.start for action in actions if type(action) is Record] == [48, 27, 30]
    advanced = [(a.start, a.stop) for a in actions if type(a) is Advance]
    assert advanced == [(45, 48), (24, 27)]
    assert sorted(a.start for a in actions if type(a) is RestoreTape) == tapes


class Interrupted:
    """A run that is interrupted at random, each time with some of the file lost."""

    def __init__(self, schedule, draw):
        self.schedule, self.draw = schedule, draw
        self.toy = Toy(schedule.num_steps, schedule.tape_slots, schedule.num_slots)
        self.left = draw.randint(1, 4)

    def __iter__(self):
        self.stream = iter(self.schedule)
        for action in self.actions():
            yield action
            is_record = type(action) is Record
            if self.left and not is_record and self.draw.random() < 0.04 and self.toy.product != 0:
                self.left -= 1
                self.lose()
            elif self.draw.random() < 0.05:
                self.change()

    def actions(self):
        while (action := next(self.stream, None)) is not None:
            yield action

    def change(self):
        factor = 8 ** self.draw.uniform(-1, 1)
        names = ("write", "read", "piece_write", "piece_read")
        changed = {name: factor * getattr(COSTS, name) for name in names}
        self.stream.update_costs(replace(COSTS, **changed))

    def lose(self):
        """Interrupt it as the driver does: what is in the file and in slots stays, but for losses.

        An initial state that is lost is made again.
        """
        toy, draw = self.toy, self.draw
        for tape in list(toy.tapes_writing):
            toy.end_tape_write(tape)
        toy.file |= {(tier, step): state for step, (tier, state) in toy.writing.items()}
        for gone in (toy.writing, toy.reading, toy.tapes, toy.tapes_reading):
            gone.clear()
        share = draw.choice([0.05, 0.5])
        toy.tapes_in_file = {t: s for t, s in toy.tapes_in_file.items() if draw.random() > share}
        toy.file = {s: state for s, state in toy.file.items() if draw.random() > share or not s[1]}
        in_file = sorted(step for _tier, step in toy.file)
        if 0 not in in_file and 0 not in toy.slots:
            toy.live = toy.true[0]
            assert not toy.file
            assert not toy.slots
        live = toy.true.index(toy.live) if toy.product is None and toy.live is not None else None
        tapes = sorted(start for start, _stop in toy.tapes_in_file)
        point = ResumePoint(in_file, live, toy.product, sorted(toy.slots), tapes)
        self.stream = self.schedule.resume_from(point)


@pytest.mark.parametrize("seed", range(200))
def test_runs_that_lose_tapes_and_states_at_any_moment(seed):
    draw = random.Random(seed)
    run = Interrupted(drawn(draw), draw)
    run.toy.run(run)
    assert run.toy.most_units <= run.schedule.num_slots


def test_a_point_without_tapes_is_that_of_states_alone():
    schedule = TapesInFile(90, 4, 1, costs=COSTS)
    point = ResumePoint([0, 20], None, 60, in_memory=[40])
    actions = list(schedule.resume_from(point))
    assert not any(isinstance(action, (OffloadTape, RestoreTape)) for action in actions)
    assert isinstance(schedule.of_states(), Spilling)
    assert next(action for action in actions if type(action) is Restore) == Restore(40)


def test_the_beginning_is_a_point_too():
    schedule = TapesInFile(40, 3, 1, costs=COSTS)
    assert list(schedule.resume_from(ResumePoint([], live=0))) == list(schedule)


def test_nothing_may_be_left():
    schedule = TapesInFile(40, 3, 1, costs=COSTS)
    for states in ([], [0]):
        assert list(schedule.resume_from(ResumePoint(states, None, 0))) == []


def test_without_the_initial_state_nothing_can_be_recomputed():
    schedule = TapesInFile(40, 3, 1, costs=COSTS)
    with pytest.raises(ScheduleError, match="initial state is not kept"):
        list(schedule.resume_from(ResumePoint([], None, 20, tapes=[3])))
