"""A toy that carries out actions on states that are nothing but their own history.

It shares no code with `adjoint.replay`. State k is a chain of hashes of the steps before k, so a
step from a wrong state is detected at once. A transfer takes effect only when it is waited for, the
latest possible moment, so that using its result earlier fails. After a write is cancelled the file
has nothing, whether it had begun or not.

A slot is in use while a snapshot is in it, is being read into it, or is being written from it.
Every tape beyond the first takes `tape_slots` slots, also while it is being read or written; but
with `num_slots`, what takes a slot waits for the tapes being written, if there is no room.
"""

import math

from adjoint.schedules.actions import (
    Advance,
    Cancel,
    Discard,
    Offload,
    OffloadTape,
    Prefetch,
    PrefetchTape,
    PullBack,
    Record,
    Restore,
    RestoreTape,
    Store,
    Tier,
    Turn,
    Wait,
)


class ToyError(Exception):
    """The actions are not a correct reversal."""


def chain(num_steps):
    """Return the states 0 … num_steps."""
    states = [hash(("initial", 0))]
    for step in range(num_steps):
        states.append(hash((states[-1], step)))
    return states


class Toy:
    """Carries out actions, and fails where that is impossible or gives a wrong product."""

    def __init__(self, num_steps, tape_slots=0, num_slots=math.inf):
        self.tape_slots = tape_slots
        self.num_slots = num_slots
        self.true = chain(num_steps)
        self.live = self.true[0]
        self.tapes = {}
        self.tapes_in_file = {}
        self.tapes_writing = {}
        self.tapes_reading = {}
        self.slots = {}
        self.file = {}  # (Tier.FILE, step) -> state
        self.writing = {}  # step -> (Tier.FILE, state)
        self.reading = {}  # step -> Tier.FILE
        self.product = None
        self.reversed_steps = []
        self.most_slots = self.most_units = self.most_in_file = 0

    def stand_at(self, step):
        """Mark all steps from `step` on as reversed."""
        self.product = step
        self.reversed_steps = list(range(step, len(self.true) - 1))[::-1]

    def run(self, actions):
        """Carry out all actions; fail unless each step was reversed once, in order."""
        for action in actions:
            try:
                self.carry_out(action)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise ToyError(f"{action}: {error!r}") from error
            self.count()
        if self.reversed_steps != list(range(len(self.true) - 1))[::-1]:
            raise ToyError(f"reversed {self.reversed_steps}")
        tapes = [self.tapes, self.tapes_in_file, self.tapes_writing, self.tapes_reading]
        if self.slots or self.file or self.writing or self.reading or any(tapes):
            raise ToyError("something is left over")
        return self

    def count(self):
        """Record the slots, tapes and places in the file in use."""
        # a write under way reads from its slot, whether that is discarded or not
        kept = self.slots.keys() | self.writing.keys() | self.reading.keys()
        alive = max(0, len(self.tapes) + len(self.tapes_reading) - 1)
        while self.tapes_writing:
            if len(kept) + self.tape_slots * (alive + len(self.tapes_writing)) <= self.num_slots:
                break
            self.end_tape_write(next(iter(self.tapes_writing)))
        taped = self.tape_slots * (alive + len(self.tapes_writing))
        self.most_slots = max(self.most_slots, len(kept))
        self.most_units = max(self.most_units, len(kept) + taped)
        self.most_in_file = max(self.most_in_file, len(self.file) + len(self.writing))

    def carry_out(self, action):
        match action:
            case Advance(start=start, stop=stop):
                self.step(start, stop)
            case Record(start=start, stop=stop):
                self.tapes[start, stop] = self.step(start, stop)
            case Turn():
                self.expect(self.live == self.true[-1] and self.product is None, action)
                self.product = len(self.true) - 1
            case PullBack(start=start, stop=stop):
                self.expect(self.product == stop, action)
                for step, state in reversed(self.tapes.pop((start, stop))):
                    self.expect(state == self.true[step], action)
                    self.reversed_steps.append(step)
                self.tapes_in_file.pop((start, stop), None)
                self.product, self.live = start, None
            case OffloadTape() | PrefetchTape() | RestoreTape():
                self.move_tape(action, (action.start, action.stop))
            case Wait(step=step) if step in self.reading:
                self.slots[step] = self.file[self.reading.pop(step), step]
            case Wait(step=step):
                tier, state = self.writing.pop(step)
                self.file[tier, step] = state
            case _:
                self.keep(action)

    def keep(self, action):
        step = action.step
        match action:
            case Store():
                self.expect(self.live is not None and step not in self.slots, action)
                self.slots[step] = self.live
            case Restore():
                self.live = self.slots[step] if step in self.slots else self.file[Tier.FILE, step]
            case Offload():
                self.expect((Tier.FILE, step) not in self.file, action)
                self.expect(step not in self.writing, action)
                self.writing[step] = Tier.FILE, self.slots[step]
            case Cancel():
                del self.writing[step]
            case Prefetch():
                self.expect((Tier.FILE, step) in self.file and step not in self.slots, action)
                self.expect(step not in self.reading, action)
                self.reading[step] = Tier.FILE
            case Discard(tier=Tier.MEMORY):
                del self.slots[step]
            case Discard():
                self.expect(step not in self.reading, action)
                del self.file[Tier.FILE, step]

    def move_tape(self, action, tape):
        match action:
            case OffloadTape():
                self.expect(tape not in self.tapes_in_file, action)
                self.tapes_writing[tape] = self.tapes.pop(tape)
            case PrefetchTape():
                self.end_tape_write(tape)
                self.expect(tape not in self.tapes and tape not in self.tapes_reading, action)
                self.tapes_reading[tape] = self.tapes_in_file[tape]
            case RestoreTape():
                self.end_tape_write(tape)
                self.tapes_reading.pop(tape, None)
                self.expect(tape not in self.tapes, action)
                self.tapes[tape] = self.tapes_in_file[tape]

    def end_tape_write(self, tape):
        if tape in self.tapes_writing:
            self.tapes_in_file[tape] = self.tapes_writing.pop(tape)

    def step(self, start, stop):
        """Take the live state from start to stop; return the states on the way."""
        self.expect(start < stop, (start, stop))
        states = []
        for step in range(start, stop):
            self.expect(self.live is not None, (start, stop))
            states.append((step, self.live))
            self.live = hash((self.live, step))
        return states

    def expect(self, holds, what):
        if not holds:
            raise ToyError(f"{what} with the product at {self.product}")
