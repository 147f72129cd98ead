"""A run whose transfers fail at random, and a schedule that is told so: one without losses.

A failed write is told at some moment after it was posted, before the state is read; a failed read
right after it was waited for. What the schedule has to make of that is in `adjoint.schedules`, at
`AdaptiveStream.lost`. What the toy holds is changed accordingly.
"""

import random

from toy_executor import Toy

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Advance, Offload, Restore, Tier, Wait


class Losing:
    """Play a schedule on a toy, losing states; `told` at random between two actions, if given.

    Iterating gives the actions as they were played.
    """

    def __init__(self, schedule, num_steps, seed, *, writes, reads, told=None):
        self.schedule = schedule
        self.num_steps = num_steps
        self.random = random.Random(seed)
        self.writes, self.reads = writes, reads
        self.told = told
        self.telling = self.random.choice([0.5, 0.1, 0.02])
        self.toy = Toy(num_steps, schedule.tape_slots)
        self.failing = set()  # states in the file, or on the way there, whose write has failed
        self.lost = []

    def play(self):
        """Play it; return whether it came to an end, which it need not if state 0 was lost."""
        self.stream = iter(self.schedule)
        try:
            self.toy.run(self)
        except ScheduleError:
            assert self.lost[-1] == 0
            assert 0 not in self.toy.slots
            return False
        return True

    def __iter__(self):
        ended = self.schedule.num_steps is not None
        for action in self.stream:
            if not ended and type(action) is Advance:
                action = Advance(action.start, min(action.stop, self.num_steps))  # noqa: PLW2901
            reads = self.is_read(action)
            yield action
            if reads and (action.step in self.failing or self.random.random() < self.reads):
                self.fail_read(action)
            self.fail_writes(action)
            if not ended and type(action) is Advance and action.stop == self.num_steps:
                self.stream.set_num_steps(self.num_steps)
                ended = True
            if self.told is not None and self.random.random() < 0.1:
                self.told(self.stream, self.random)

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
        self.lose(action.step)

    def fail_writes(self, action):
        """Have a write fail that was just posted; tell of some that have failed before."""
        toy = self.toy
        if type(action) is Offload and self.random.random() < self.writes:
            self.failing.add(action.step)
        for step in sorted(self.failing):
            if (Tier.FILE, step) not in toy.file and step not in toy.writing:
                self.failing.discard(step)
            elif step not in toy.reading and self.random.random() < self.telling:
                self.lose(step)

    def lose(self, step):
        """Have the file lose a state, and say so."""
        self.failing.discard(step)
        self.lost.append(step)
        self.toy.file.pop((Tier.FILE, step), None)
        self.toy.writing.pop(step, None)
        self.stream.snapshot_lost(step)
