"""The actions of a spilling schedule that learns the number of steps only at the end of the run."""

from collections.abc import Iterator

from adjoint.schedules.actions import Action
from adjoint.schedules.protocol import OpenStream
from adjoint.schedules.spilling.entry import Entry
from adjoint.schedules.spilling.spacing import GRID, EvenSteps
from adjoint.schedules.spilling.stream import SpillingStream

__all__ = ["OpenEndedStream"]

MIN_RING_GAP = 8
"""Least distance, in leaves, of the states kept in case the run ends soon: each costs a copy, or a
step out of place, and they must cost little."""


class OpenEndedStream(OpenStream, SpillingStream):
    """One iteration over a schedule that waits for `set_num_steps`."""

    def _play(self) -> Iterator[Action]:
        assert self._point.reversed_to is None, "where a run ends is known once it is reversed"
        self._evict_leftovers_first()
        yield from self._sweep_on(self._first_live_leaf)
        assert self._num_steps is not None
        self.reversal.set_end(self._num_steps)
        yield from self._stack.cancel_writes()
        yield from self.reversal.reverse()

    def _sweep_on(self, live: int) -> Iterator[Action]:
        """Keep states until the run ends; the live state is at its end then.

        Besides those at the spacing, free slots hold a ring of states since the last of them.
        """
        books, stack = self.books, self._stack
        spaced = EvenSteps(live * GRID, self._pitch, 1)
        is_resumed = not books.is_empty
        k = int(is_resumed)
        is_kept = is_resumed and books.top().leaf == live
        ring: list[Entry] = []
        while self._num_steps is None:
            if is_kept:
                is_kept = False  # where a run was resumed, nothing is kept twice
            elif live == spaced.leaf(k):
                yield from stack.drop(ring)
                yield from self._thin()
                yield from stack.make_room()
                if books.free:
                    yield from self._store(live, (spaced, k))
                k += 1
                if self._is_respaced:
                    spaced, k = EvenSteps(live * GRID, self._pitch, 1), 1
                    self._is_respaced = False
            elif books.free or (books.clean and books.clean[0].leaf < spaced.leaf(k - 1)):
                yield from stack.make_room()
                yield from stack.store(live)
                ring.append(books.kept[-1])
            gap = max(MIN_RING_GAP, -(-self._pitch // (GRID * max(1, books.num_slots - 1))))
            ahead = min(spaced.leaf(k), live + gap) if books.num_slots > 2 else spaced.leaf(k)
            leaf_steps = self._schedule.leaf_steps
            self._swept = (live * leaf_steps, ahead * leaf_steps)
            yield self.reversal.advance(live, ahead)
            live = ahead
