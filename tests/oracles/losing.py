"""A run whose transfers fail at random, resumed after each failure: without losses, a plain run.

A failed write is noticed at some moment after it was posted, before the state is read; a failed
read right after it was waited for. Then the run is interrupted as the driver does it: writes under
way are waited for, reads under way and kept tapes are dropped, states in slots stay, and a schedule
that can go on from there takes over.
"""

import random

from toy_executor import Toy

from adjoint.schedules import ResumePoint, fallback_schedule
from adjoint.schedules.actions import Advance, Offload, Restore, Tier, Wait


class Losing:
    """Play a schedule on a toy, losing states.

    `update`, if given, is called at random between two actions with the stream and a source of
    chance. Iterating gives the actions as they were played. An initial state that is lost is made
    again, as a stepper can.
    """

    def __init__(self, schedule, num_steps, seed, *, writes, reads, update=None):
        self.schedule = schedule
        self.num_steps = num_steps
        self.random = random.Random(seed)
        self.writes, self.reads = writes, reads
        self.update = update
        self.noticing = self.random.choice([0.5, 0.1, 0.02])
        self.toy = Toy(num_steps, schedule.tape_slots)
        self.failing = set()  # states in the file, or on the way there, whose write has failed
        self.lost = []
        self.advanced = 0

    def play(self):
        """Play it to its end; return this run."""
        self.stream = iter(self.schedule)
        self.knows_end = self.schedule.num_steps is not None
        self.toy.run(self)
        return self

    def __iter__(self):
        while (action := next(self.stream, None)) is not None:
            if not self.knows_end and type(action) is Advance:
                action = Advance(action.start, min(action.stop, self.num_steps))
            reads = self.is_read(action)
            yield action
            if type(action) is Advance:
                self.advanced += action.stop - action.start
                if not self.knows_end and action.stop == self.num_steps:
                    self.stream.set_num_steps(self.num_steps)
                    self.knows_end = True
            if self.update is not None and self.random.random() < 0.1:
                self.update(self.stream, self.random)
            if reads and (action.step in self.failing or self.random.random() < self.reads):
                self.fail_read(action)
            self.fail_writes(action)

    def is_read(self, action):
        """Return whether a read from the file is done with this action."""
        straight = type(action) is Restore and action.step not in self.toy.slots
        return straight or (type(action) is Wait and action.step in self.toy.reading)

    def fail_read(self, action):
        """Fail a read that has just been waited for."""
        if type(action) is Restore:
            self.toy.live = None
        else:
            del self.toy.slots[action.step]
        self.lose([action.step])

    def fail_writes(self, action):
        """Have a write fail that was just posted; notice some that have failed before."""
        toy = self.toy
        if type(action) is Offload and self.random.random() < self.writes:
            self.failing.add(action.step)
        in_file = {step for _tier, step in toy.file} | toy.writing.keys()
        self.failing &= in_file
        unread = sorted(self.failing - toy.reading.keys())
        noticed = [step for step in unread if self.random.random() < self.noticing]
        self.lose(noticed)

    def lose(self, steps):
        """Have the file lose states, and go on from what is left."""
        toy = self.toy
        if not steps:
            return
        for step in steps:
            self.failing.discard(step)
            self.lost.append(step)
            toy.file.pop((Tier.FILE, step), None)
            toy.writing.pop(step, None)
        for step, (tier, state) in toy.writing.items():
            toy.file[tier, step] = state
        toy.writing.clear()
        toy.reading.clear()
        toy.tapes.clear()
        in_file = sorted(step for _tier, step in toy.file)
        if 0 not in in_file and 0 not in toy.slots:
            self.begin_again(in_file)
        self.stream = self.resumed(in_file)

    def begin_again(self, in_file):
        """Make the initial state again: in the reverse sweep in a slot, beside all that is kept."""
        toy = self.toy
        toy.live = toy.true[0]
        if toy.product is None:
            in_file.clear()
            toy.file.clear()
            toy.slots.clear()
            return
        if len(toy.slots) >= self.schedule.num_slots:
            del toy.slots[min(toy.slots)]
        toy.slots[0] = toy.true[0]

    def resumed(self, in_file):
        toy = self.toy
        num_steps = self.num_steps if self.knows_end else None
        schedule = fallback_schedule(self.schedule, num_steps, self.schedule.costs)
        goes_on = toy.product is None and toy.live is not None
        live = toy.true.index(toy.live) if goes_on else None
        point = ResumePoint(in_file, live, toy.product, sorted(toy.slots))
        return schedule.resume_from(point)
