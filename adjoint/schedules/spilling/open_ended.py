"""The actions of a spilling schedule that is told only at the end how many steps there are."""

from collections.abc import Iterator
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.spilling.entry import Entry
from adjoint.schedules.spilling.spacing import GRID, EvenSteps
from adjoint.schedules.spilling.stream import SpillingStream

__all__ = ["OpenEndedStream"]

RING_GAP = 8
"""States kept in case the run ends soon are so many leaves apart or more: they must cost little."""


class OpenEndedStream(SpillingStream):
    """One iteration over a schedule that is told where the run ends."""

    awaits_num_steps = True
    _ended = False
    _swept = (0, 0)
    """Where the last `Advance` of the forward sweep begins and ends."""

    def set_num_steps(self, num_steps: int) -> None:
        """Take note that the run ends at `num_steps`, where the live state now is.

        Raises
        ------
        ScheduleError
            The end is not in the last `Advance`, or was told already.
        """
        start, stop = self._swept
        if self._ended:
            raise ScheduleError(f"the run ended at step {self._num_steps}: it cannot end again")
        if not start < index(num_steps) <= stop:
            raise ScheduleError(
                f"the run cannot end at step {num_steps}: the last steps that the schedule asked "
                f"for are [{start}, {stop}); tell it the end as soon as it is reached"
            )
        self._num_steps = index(num_steps)
        self._ended = True

    def _play(self) -> Iterator[Action]:
        assert self._reversed_to is None, "where a run ends is known once it is being reversed"
        yield from self._sweep_on(self._from)
        assert self._num_steps is not None
        self._end = num_leaves(self._num_steps, self._leaf_steps)
        yield from self._stack.cancel_writes()
        yield from self._reverse()

    def _sweep_on(self, live: int) -> Iterator[Action]:
        """Keep states until the run ends; the live state is at its end then."""
        stack = self._stack
        comb, k = EvenSteps(live * GRID, self._pitch, 1), int(live > 0)
        ring: list[Entry] = []
        while not self._ended:
            if live == comb.leaf(k):
                yield from stack.drop(ring)
                yield from self._thin()
                yield from stack.make_room()
                if stack.free:
                    yield from self._store(live, (comb, k))
                k += 1
                if self._replanned:
                    comb, k = EvenSteps(live * GRID, self._pitch, 1), 1
                    self._replanned = False
            elif stack.free or (stack.clean and stack.clean[0].leaf < comb.leaf(k - 1)):
                yield from stack.make_room()
                yield from stack.store(live)
                ring.append(stack.kept[-1])
            gap = max(RING_GAP, -(-self._pitch // (GRID * max(1, stack.num_slots - 1))))
            ahead = min(comb.leaf(k), live + gap) if stack.num_slots > 2 else comb.leaf(k)
            self._swept = (live * self._leaf_steps, ahead * self._leaf_steps)
            yield self._advance(live, ahead)
            live = ahead
