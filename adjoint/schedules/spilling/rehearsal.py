"""What a spilling schedule will take, without giving its actions one by one.

Where nothing can happen until a piece is reversed, because no read is due and no state in memory
is also in the file, the time that it takes is known. A rehearsal passes over such pieces, and over
nothing else, so it takes the same decisions as the schedule itself; many times as quickly where the
file is slow.
"""

from collections.abc import Collection
from math import inf
from typing import TYPE_CHECKING

from adjoint.schedules.spilling.stream import SpillingStream

if TYPE_CHECKING:
    from adjoint.schedules.spilling.schedule import Spilling

__all__ = ["Rehearsal"]


class Rehearsal(SpillingStream):
    """Plays a schedule on its virtual clock.

    Iterating gives only some of the actions. `actions` counts them, and so measures what the
    rehearsal itself takes.
    """

    def __init__(self, schedule: "Spilling") -> None:
        super().__init__(schedule)
        self.actions = 0
        self.at: dict[int, float] = {}
        """When the adjoint was at the leaves asked for."""

    def run(self, marks: Collection[int] = (), *, most_actions: float = inf) -> bool:
        """Play to the end, noting when the adjoint is at, or first passes, each of some leaves.

        Returns False if it was broken off because there are more actions than wanted.
        """
        coming = sorted(marks)
        for _action in self:
            self.actions += 1
            if self.actions > most_actions:
                return False
            while coming and self._turned and self._end <= coming[-1]:
                self.at[coming.pop()] = self.seconds
        return True

    def _foreseen(self, live: int) -> bool:
        stack = self._stack
        if not self._turned:
            return False
        top = stack.kept[-1]
        stored = top.leaf == live
        left, slots = self._end - live, stack.free - stack.reserved + stored
        if (stored and top.in_file) or not self._pieces.knows(left):
            return False
        scarce = slots < (left - 1) * max(1, stack.tape_slots)
        if scarce and (stack.clean or stack.is_writing or stack.reserved):
            return False  # more slots may come, and when is not known
        if self._is_timed(left):
            return False  # transfers are reckoned with in all that is decided
        seconds, _split = self._pieces.seconds_and_split(left, slots, False)
        leaf = self._pace.record + self._pace.pull_back
        if seconds == inf or self._due_within(seconds + leaf, live):
            return False
        if stored:
            stack.forget_top()
        stack.clock.compute(seconds)
        self._end = live
        return True

    def _due_within(self, seconds: float, live: int) -> bool:
        """Return whether a read is due before so many seconds are over."""
        stack = self._stack
        until_top, until_below, _split = self._outlook(live, stack.kept[-1])
        return stack.until_due(until_top, until_below) < seconds
