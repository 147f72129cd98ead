"""The reverse sweep of a spilling schedule, and the last segment of the forward sweep.

Both do the same: from the topmost kept state, reverse what is right of it, keeping states and tapes
on the way as Revolve or the table of tapes says, with the slots that are free or can be.
"""

from collections.abc import Callable, Generator, Iterator

from adjoint.schedules.actions import Action, Advance, PullBack, Record, Turn
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.spilling.bookkeeping import Bookkeeping
from adjoint.schedules.spilling.entry import Entry
from adjoint.schedules.spilling.forecast import Forecast
from adjoint.schedules.spilling.segments import SegmentCosts
from adjoint.schedules.spilling.stack import Stack

__all__ = ["PassOver", "ReverseSweep"]

PassOver = Callable[["ReverseSweep", int], float | None]
"""Asked before each decision, with the sweep and its live leaf: the seconds that what is right of
the leaf takes, if it is to be reversed at once, without actions; else None."""


class ReverseSweep:
    """Reverses leaves, from the end of a run down.

    Parameters
    ----------
    books, stack, forecast
        What is kept, what changes it, and when it is needed again.
    segments
        What reversing segments takes.
    pass_over
        Which segments to reverse without giving actions; None where all are given.
    """

    def __init__(
        self,
        books: Bookkeeping,
        stack: Stack,
        forecast: Forecast,
        segments: SegmentCosts,
        pass_over: PassOver | None = None,
    ) -> None:
        self.end = 0
        """The leaves before it are still to be reversed."""
        self.has_turned = False
        self.turned_at = 0.0
        """When the turn was, by the virtual clock."""
        self.books = books
        self.forecast = forecast
        self.segments = segments
        self._stack = stack
        self._leaf_steps = books.leaf_steps
        self._pass_over = pass_over
        self._end_step = 0

    def set_end(self, step: int) -> None:
        """Have the steps before `step`, the end of a leaf, still to be reversed."""
        self.end = num_leaves(step, self._leaf_steps)
        self._end_step = step

    def reverse(self) -> Iterator[Action]:
        """Reverse all leaves that are left, from the top of the stack down."""
        books, stack = self.books, self._stack
        while self.end:
            top = books.top()
            if top.is_tape:
                assert top.leaf == self.end - 1, "a slot was left for what is right of the tape"
                yield from self._pull_back_kept(top.leaf)
            elif top.leaf == self.end - 1:
                yield from stack.take_top()
                yield from self.reverse_leaf(top.leaf)
            else:
                if not top.is_resident:
                    yield from stack.fetch(top)
                yield from self.descend(top.leaf, from_slot=top.in_slot)

    def descend(self, live: int, *, from_slot: bool) -> Iterator[Action]:
        """Reverse the last leaf from the state of leaf `live`, keeping states and tapes on the way.

        That is the live state, or `from_slot` the one in the slot of the top.
        """
        books, stack = self.books, self._stack
        while (left := self.end - live) > 1:
            if self._pass_over is not None and self._reverse_at_once(live, self._pass_over):
                return
            slots, in_file = yield from self._slots_right_of(live)
            split = self.segments.seconds_and_split(left, slots, in_file)[1]
            if split == 0:
                if (yield from self._keep_tape(live, from_slot=from_slot)):
                    live, from_slot = live + 1, False
                    continue
                split = left - 1
            if from_slot:
                yield stack.restore(books.top())
                from_slot = False
            elif books.top().leaf != live and not (slots and (yield from self._keep_state(live))):
                split = left - 1
            yield self.advance(live, live + split)
            live += split
        if books.kept and books.kept[-1].leaf == live:
            yield from stack.discard_top()
        yield from self.reverse_leaf(live)

    def reverse_leaf(self, live: int) -> Iterator[Action]:
        """Reverse the last leaf from its own state, which is live and not kept."""
        books, stack, leaf = self.books, self._stack, self.segments.leaf
        if self.has_turned and books.has_absent:
            seconds = leaf.record + leaf.pull_back
            top = books.top()
            below = seconds + books.seconds(live - top.leaf, top)
            yield from stack.prefetch(seconds, below, seconds)
        yield Record(live * self._leaf_steps, self._end_step, reach_stop=not self.has_turned)
        if self.has_turned:
            books.clock.compute(leaf.record)
        else:
            self.has_turned = True
            books.clock.compute(leaf.keep)
            yield from stack.cancel_writes()
            yield Turn()
            books.clock.compute(books.costs.turn)
            self.turned_at = books.clock.now
        yield self._pull_back(live)

    def advance(self, start: int, stop: int) -> Action:
        """Advance over leaves."""
        self.books.clock.compute((stop - start) * self.segments.leaf.advance)
        return Advance(start * self._leaf_steps, stop * self._leaf_steps)

    # -- what can be known beforehand ----------------------------------------------------------

    def outlook(self, live: int, top: Entry) -> tuple[float, float, int]:
        """Return when the top is needed again, when what is below it is, and the split until then.

        In seconds from now, if what is right of the live state is reversed next.
        """
        books, segments, left = self.books, self.segments, self.end - live
        if top.leaf != live:
            slots = books.num_slots - books.locked
            until_top, split = segments.seconds_and_split(left, slots, False)
            return until_top, until_top + books.seconds(live - top.leaf, top), split
        slots = books.num_slots - top.locked
        below, split = segments.seconds_and_split(left, slots, top.in_file)
        if split == 0:
            return below, below, split  # its tape is kept: the state is not needed again
        return below - segments.seconds_and_split(split, slots, top.in_file)[0], below, split

    # -- decisions -----------------------------------------------------------------------------

    def _slots_right_of(self, live: int) -> Generator[Action, None, tuple[int, bool]]:
        """Return the slots for what is right of the live state, and whether it needs none itself.

        It needs none if it is in the file; otherwise its own slot is counted. Reads what is due.
        """
        books, stack = self.books, self._stack
        top = books.top()
        until_top, until_below, split = self.outlook(live, top)
        if self.has_turned and books.has_absent:
            look = split * self.segments.leaf.advance
            yield from stack.prefetch(until_top, until_below, look)
        slots = self.forecast.available(until_top, until_below)
        if top.leaf == live:
            if top.in_file and self.forecast.needs_no_slot(top, until_top, until_below):
                return slots, True
            return slots + 1, False
        if slots < 1 and top.is_tape:
            # The next state below is left of the kept tapes: to set out from there would take the
            # leaves again whose tapes are kept.
            yield from stack.insist_on_room()
            slots = min(1, books.free)
        return max(0, slots), False

    def _keep_state(self, live: int) -> Generator[Action, None, bool]:
        """Keep the live state in a slot; return False if there is none after all."""
        books, stack = self.books, self._stack
        while books.free <= books.reserved and books.clean:
            yield from stack.evict(books.clean[0])
        if not books.free:
            return False
        yield from stack.store(live)
        return True

    def _keep_tape(self, live: int, *, from_slot: bool) -> Generator[Action, None, bool]:
        """Record the leaf of a state, keep its tape; return False if there is no room after all.

        The state is live, or `from_slot` in the slot of the top.
        """
        books, stack = self.books, self._stack
        own = books.top() if books.top().leaf == live else None
        while (room := books.free - books.reserved + books.frees_slot(own)) < books.tape_slots:
            if not books.clean or books.clean[0] is own:
                break
            yield from stack.evict(books.clean[0])
        if room < books.tape_slots:
            return False
        if own is not None:
            yield from stack.spend_top(from_slot=from_slot)
        books.clock.compute(self.segments.leaf.keep)
        books.push_tape(live)
        yield Record(live * self._leaf_steps, (live + 1) * self._leaf_steps)
        return True

    # -- inside --------------------------------------------------------------------------------

    def _pull_back_kept(self, leaf: int) -> Iterator[Action]:
        """Reverse the last leaf by its tape, which is the top."""
        stack, seconds = self._stack, self.segments.leaf.pull_back
        if self.books.has_absent:
            yield from stack.prefetch(seconds, seconds, seconds)
        yield from stack.discard_top_tape()
        yield self._pull_back(leaf)

    def _reverse_at_once(self, live: int, pass_over: PassOver) -> bool:
        """Reverse all that is right of a leaf without actions, if `pass_over` says so."""
        seconds = pass_over(self, live)
        if seconds is None:
            return False
        if self.books.kept[-1].leaf == live:
            self._stack.pass_over_top()
        self.books.clock.compute(seconds)
        self.end, self._end_step = live, live * self._leaf_steps
        return True

    def _pull_back(self, leaf: int) -> Action:
        start, stop = leaf * self._leaf_steps, self._end_step
        self.books.clock.compute(self.segments.leaf.pull_back)
        self.end, self._end_step = leaf, start
        return PullBack(start, stop)
