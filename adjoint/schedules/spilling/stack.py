"""The stack of a spilling schedule: how kept states come and go, action by action.

The sweeps (`stream`, `reverse`) decide where a state is kept. This file decides which slot is
taken, what is waited for, and what is discarded.
"""

from bisect import insort
from collections.abc import Iterator

from adjoint.schedules.actions import (
    Action,
    Cancel,
    Discard,
    Offload,
    Prefetch,
    Restore,
    Store,
    Tier,
    Wait,
)
from adjoint.schedules.clock import Transfer
from adjoint.schedules.spilling.bookkeeping import Bookkeeping
from adjoint.schedules.spilling.entry import Entry, Place, by_leaf
from adjoint.schedules.spilling.forecast import Forecast

__all__ = ["Stack"]


class Stack:
    """Gives the actions that change what is kept.

    Parameters
    ----------
    books
        What is kept; changed by this class alone.
    forecast
        When it is needed again.
    """

    def __init__(self, books: Bookkeeping, forecast: Forecast) -> None:
        self._books = books
        self._forecast = forecast
        self._leaf_steps = books.leaf_steps

    # -- the forward sweep ---------------------------------------------------------------------

    def store(self, leaf: int, place: Place | None = None) -> Iterator[Action]:
        """Keep the live state in a free slot; with a place in the file, post its write as well."""
        books = self._books
        state = books.push_state(leaf)
        books.clock.compute(books.costs.store)
        yield Store(leaf * self._leaf_steps)
        if place is None:
            return
        state.place = place
        state.in_file = True
        books.locked -= 1
        books.in_file += 1
        books.clock.compute(books.costs.post)
        state.transfer = books.clock.post(books.costs.write, reading=False)
        books.writing.append(state)
        yield Offload(leaf * self._leaf_steps)

    def store_for_now(self, leaf: int) -> Iterator[Action]:
        """Store the live state in a free slot, which is freed as soon as one is wanted."""
        yield from self.store(leaf)
        self._books.evict_first.append(self._books.kept[-1])

    def make_room(self) -> Iterator[Action]:
        """Free a slot if none is free, waiting for a write if need be, if there is a way at all."""
        books = self._books
        while not books.free:
            if books.evict_first:
                yield from self._drop(books.evict_first[0])
                continue
            books.settle()
            if not books.clean and books.writing:
                books.clock.wait(_write(books.writing[0]))
                books.settle()
            if not books.clean:
                return
            yield from self.evict(books.clean[0])

    def cancel_writes(self) -> Iterator[Action]:
        """Take back the writes that have not begun: their states stay in memory."""
        books = self._books
        while books.writing and _write(books.writing[-1]).begins > books.clock.now:
            yield self._cancel(books.writing[-1])
        books.revalue()

    def drop(self, states: list[Entry]) -> Iterator[Action]:
        """Discard states that are in slots alone; the list is empty afterwards."""
        while states:
            yield from self._drop(states.pop())

    def thin(self) -> Iterator[Action]:
        """Discard every second state in the file, from the second on."""
        books = self._books
        odd = books.archived.count % 2
        for leaf in books.archived.thin():
            books.in_file -= 1
            yield Discard(leaf * self._leaf_steps, Tier.FILE)
        for state in [state for state in books.kept if state.in_file][1 - odd :: 2]:
            yield from self._forget(state)
        books.revalue()

    # -- both sweeps ---------------------------------------------------------------------------

    def evict(self, state: Entry) -> Iterator[Action]:
        """Free the slot of a clean state, which stays in the file."""
        books = self._books
        step = state.leaf * self._leaf_steps
        if state.pending_discard:
            yield from self._forget(state)
            return
        if state.transfer is not None:
            state.transfer = None
            yield Wait(step)
        books.clean.remove(state)
        state.in_slot = False
        books.free += 1
        insort(books.absent, state, key=by_leaf)
        books.archive_bottom()
        yield Discard(step, Tier.MEMORY)

    # -- the reverse sweep ---------------------------------------------------------------------

    def fetch(self, state: Entry) -> Iterator[Action]:
        """Have a state in its slot, or read it straight into the live state if it has none."""
        if state.pinned:
            yield from self._unpin(state)
        elif not state.in_slot:
            clock, costs = self._books.clock, self._books.costs
            clock.compute(costs.post)
            clock.wait(clock.post(costs.read, reading=True))
            yield Restore(state.leaf * self._leaf_steps)

    def restore(self, state: Entry) -> Action:
        """Make a state in a slot live; it keeps its slot."""
        self._books.clock.compute(self._books.costs.restore)
        return Restore(state.leaf * self._leaf_steps)

    def take_top(self) -> Iterator[Action]:
        """Make the top state live and discard it."""
        state = self._books.kept[-1]
        if not state.is_resident:
            yield from self.fetch(state)
        if state.in_slot:
            yield self._restore_to_discard(state)
        yield from self.discard_top()

    def spend_top(self, *, from_slot: bool) -> Iterator[Action]:
        """Discard the top state, whose leaf is about to be recorded; make it live if `from_slot`.

        While it is being written or read it keeps its slot: nothing waits for that.
        """
        books = self._books
        state = books.kept[-1]
        state.pending_discard = books.is_moving(state)
        if from_slot and state.pending_discard:
            yield self.restore(state)
        elif from_slot:
            yield self._restore_to_discard(state)
        if not (state.pending_discard and state.in_file):
            yield from self.discard_top()

    def discard_top(self) -> Iterator[Action]:
        """Discard the top state: its slot, and its place in the file."""
        books = self._books
        state = books.kept[-1]
        if state.place is not None or books.evict_first:
            yield from self._forget(state)
            return
        self.pass_over_top()
        yield Discard(state.leaf * self._leaf_steps, Tier.MEMORY)

    def discard_top_tape(self) -> Iterator[Action]:
        """Note that the tape at the top is pulled back; discard the state it was recorded from."""
        books = self._books
        tape = books.kept.pop()
        books.free += books.tape_slots
        books.locked -= books.tape_slots
        if books.kept and books.kept[-1].leaf == tape.leaf:
            yield from self.discard_top()

    def pass_over_top(self) -> None:
        """Note that the top state, which is in a slot alone, is not needed any more."""
        books = self._books
        books.kept.pop()
        books.free += 1
        books.locked -= 1

    def insist_on_room(self) -> Iterator[Action]:
        """Free a slot, even that of a state that is being read ahead, if there is any."""
        books = self._books
        yield from self.make_room()
        if not books.free:
            pinned = next((state for state in books.kept if state.pinned), None)
            if pinned is not None:
                yield from self._unpin(pinned)
                yield from self.make_room()

    def prefetch(self, until_top: float, until_below: float, look: float) -> Iterator[Action]:
        """Read ahead what is due within `look` seconds; reserve a slot if none is free."""
        books = self._books
        books.reserved = 0
        while self._forecast.until_due(until_top, until_below) <= look:
            if books.clock.busy_until - books.clock.now > look:
                return  # it would only queue, in a slot
            if not books.free:
                books.reserved = 1
                return
            yield from self._read_ahead(books.absent[-1])

    # -- inside --------------------------------------------------------------------------------

    def _restore_to_discard(self, state: Entry) -> Action:
        """Make a state live whose slot is discarded next, unless its write is cancelled first."""
        transfer = state.transfer
        cancelled = transfer is not None and transfer.begins > self._books.clock.now
        return Restore(state.leaf * self._leaf_steps, keep=state.place is not None and cancelled)

    def _cancel(self, state: Entry) -> Action:
        """Take back a write that has not begun."""
        books = self._books
        later = list(books.writing)[books.writing.index(state) + 1 :]
        books.clock.cancel(_write(state), map(_write, later))
        books.writing.remove(state)
        state.transfer, state.in_file = None, False
        books.locked += 1
        books.in_file -= 1
        return Cancel(state.leaf * self._leaf_steps)

    def _drop(self, state: Entry) -> Iterator[Action]:
        yield from self._forget(state)
        self._books.revalue()

    def _forget(self, state: Entry) -> Iterator[Action]:
        """Discard a state wherever it is."""
        books = self._books
        step = state.leaf * self._leaf_steps
        if state.pinned:
            yield from self._unpin(state)
        if state.transfer is not None and state.transfer.begins > books.clock.now:
            yield self._cancel(state)
        if state is books.kept[-1]:
            books.kept.pop()
        else:
            books.kept.remove(state)
        books.locked -= not state.in_file
        for states in (books.clean, books.writing, books.evict_first, books.absent):
            if state in states:
                states.remove(state)
        if state.in_slot:
            books.free += 1
            yield Discard(step, Tier.MEMORY)
        if state.transfer is not None:
            books.clock.wait(state.transfer)
            state.transfer = None
            yield Wait(step)
        if state.in_file:
            state.in_file = False
            books.in_file -= 1
            yield Discard(step, Tier.FILE)

    def _unpin(self, state: Entry) -> Iterator[Action]:
        """Wait for a state that is read ahead."""
        books = self._books
        assert state.transfer is not None
        books.clock.wait(state.transfer)
        state.transfer = None
        state.pinned = False
        insort(books.clean, state, key=by_leaf)
        yield Wait(state.leaf * self._leaf_steps)

    def _read_ahead(self, state: Entry) -> Iterator[Action]:
        books = self._books
        books.absent.remove(state)
        books.free -= 1
        state.pinned = state.in_slot = True
        books.clock.compute(books.costs.post)
        state.transfer = books.clock.post(books.costs.read, reading=True)
        yield Prefetch(state.leaf * self._leaf_steps)


def _write(state: Entry) -> Transfer:
    """Return the write that is under way."""
    assert state.transfer is not None
    return state.transfer
