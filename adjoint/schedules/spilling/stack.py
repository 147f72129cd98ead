"""The stack of a spilling schedule: what its decisions come to, action by action.

Nothing here knows where a state ought to be kept; `spilling_stream` decides that. Here is which
slot is taken, what is waited for, and what is given up. All that is noted, in `spilling_ledger`,
before the action is given: whoever plays it may tell of a loss right after it.
"""

from bisect import insort
from collections.abc import Generator, Iterator

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
from adjoint.schedules.spilling.entry import Entry, by_leaf
from adjoint.schedules.spilling.spacing import Combs, EvenSteps

__all__ = ["Stack"]


class Stack(Bookkeeping):
    """What is kept, and how it comes and goes."""

    # -- the forward sweep ---------------------------------------------------------------------

    def store(self, leaf: int, place: tuple[EvenSteps, int] | None = None) -> Iterator[Action]:
        """Keep the live state in a free slot; with a place in the file, post its write as well."""
        state = self._push(Entry(leaf, self.locked, self._below(leaf)), 1)
        self.clock.compute(self.costs.store)
        yield Store(leaf * self._leaf_steps)
        if place is None:
            return
        state.place = place
        state.in_file = True
        self.locked -= 1
        self.in_file += 1
        self.clock.compute(self.costs.post)
        state.transfer = self.clock.post(self.costs.write, reading=False)
        self._dirty.append(state)
        yield Offload(leaf * self._leaf_steps)

    def store_for_now(self, leaf: int) -> Iterator[Action]:
        """Store the live state in a free slot, which it gives up as soon as one is wanted."""
        yield from self.store(leaf)
        self._doomed.append(self.kept[-1])

    def make_room(self) -> Iterator[Action]:
        """Have a free slot, if need be by waiting for a write, if there is a way at all."""
        while not self.free:
            if self._doomed:
                yield from self._drop(self._doomed[0])
                continue
            self._settle()
            if not self.clean and self._dirty:
                self.clock.wait(_write(self._dirty[0]))
                self._settle()
            if not self.clean:
                return
            yield from self.evict(self.clean[0])

    def cancel_writes(self) -> Iterator[Action]:
        """Take back the writes that have not begun: their states stay in memory."""
        while self._dirty and _write(self._dirty[-1]).begins > self.clock.now:
            yield self._cancel(self._dirty[-1])
        self.reckon()

    def drop(self, states: list[Entry]) -> Iterator[Action]:
        """Give up states that are in slots alone; the list is empty afterwards."""
        while states:
            yield from self._drop(states.pop())

    def thin(self) -> Iterator[Action]:
        """Give up every second state in the file, from the second on."""
        odd = self.buried.count % 2
        self._thinned = self.buried.thin()
        for leaf in self._thinned:
            if leaf in self._lost:
                self._lost.remove(leaf)
                continue
            self.in_file -= 1
            yield Discard(leaf * self._leaf_steps, Tier.FILE)
        self._thinned = Combs()
        for state in [state for state in self.kept if state.in_file][1 - odd :: 2]:
            if state.in_file:
                yield from self._forget(state)
        self.reckon()

    # -- both sweeps ---------------------------------------------------------------------------

    def evict(self, state: Entry) -> Iterator[Action]:
        """Give up the slot of a written state, unless its write turns out to have failed."""
        step = state.leaf * self._leaf_steps
        if state.spent:
            yield from self._forget(state)
            return
        if state.transfer is not None:
            state.transfer = None
            yield Wait(step)
            if not state.in_file:
                return
        self.clean.remove(state)
        state.in_slot = False
        self.free += 1
        insort(self._absent, state, key=by_leaf)
        while len(self._absent) > self.num_slots and not self.kept[0].in_slot:
            buried = self.kept.popleft()
            self._absent.remove(buried)
            assert buried.place is not None, "only what was sent to the file gives up its slot"
            self.buried.add(*buried.place)
        yield Discard(step, Tier.MEMORY)

    # -- the reverse sweep ---------------------------------------------------------------------

    def fetch(self, state: Entry) -> Generator[Action, None, bool]:
        """Have a state in its slot, or live if it has none; return False if it is lost."""
        if state.pinned:
            yield from self._unpin(state)
        elif not state.in_slot:
            self._read_at_once()
            yield Restore(state.leaf * self._leaf_steps)
        return state.in_slot or state.in_file

    def restore(self, state: Entry) -> Action:
        """Make a state in a slot live; it keeps its slot."""
        self.clock.compute(self.costs.restore)
        return Restore(state.leaf * self._leaf_steps)

    def _restore_to_discard(self, state: Entry) -> Action:
        """Make a state live whose slot is given up next, unless its write is cancelled first."""
        cancelled = state.transfer is not None and state.transfer.begins > self.clock.now
        return Restore(state.leaf * self._leaf_steps, keep=state.place is not None and cancelled)

    def take(self, state: Entry) -> Generator[Action, None, bool]:
        """Make the top state live and give it up. Return False if it is lost."""
        if not state.is_resident and not (yield from self.fetch(state)):
            return False
        if state.in_slot:
            yield self._restore_to_discard(state)
        yield from self.discard_top()
        return True

    def spend_top(self, *, resting: bool) -> Iterator[Action]:
        """Give up the top state, whose leaf is about to be recorded; if `resting`, restore it.

        If it is just being written, or read, it keeps its slot meanwhile: nothing waits for that.
        """
        state = self.kept[-1]
        state.spent = self._is_moving(state)
        if resting and state.spent:
            yield self.restore(state)
        elif resting:
            yield self._restore_to_discard(state)
        if not (state.spent and state.in_file):
            yield from self.discard_top()

    def discard_top(self) -> Iterator[Action]:
        """Give up the top state: its slot, and its place in the file."""
        state = self.kept[-1]
        if state.place is not None:
            yield from self._forget(state)
            return
        self.kept.pop()
        self.free += 1
        self.locked -= 1
        yield Discard(state.leaf * self._leaf_steps, Tier.MEMORY)

    def discard_top_tape(self) -> Iterator[Action]:
        """Take note that the tape at the top is pulled back; give up what it was recorded from."""
        tape = self.kept.pop()
        self.free += self.tape_slots
        self.locked -= self.tape_slots
        if self.kept and self.kept[-1].leaf == tape.leaf:
            yield from self.discard_top()

    def insist_on_room(self) -> Iterator[Action]:
        """Have a free slot, even that of a state that is being read ahead, if there is any."""
        yield from self.make_room()
        if not self.free:
            pinned = next((state for state in self.kept if state.pinned), None)
            if pinned is not None:
                yield from self._unpin(pinned)
                yield from self.make_room()

    def make_room_for(
        self, needed: int, until_top: float, until_below: float
    ) -> Generator[Action, None, bool]:
        """Have so many free slots, if those that give theirs up suffice; return whether they do."""
        live_top = self.kept[-1] if needed else None
        while self.free - self.reserved < needed:
            if not self.evictable(until_top, until_below) or (
                self.clean[0] is live_top and until_top == until_below
            ):
                return False
            yield from self.evict(self.clean[0])
        return True

    def prefetch(self, until_top: float, until_below: float, look: float) -> Iterator[Action]:
        """Read ahead what is due within `look`, if there is a slot; else keep back the next one.

        One is kept back for a read that is due soon, too: see `foresight`.
        """
        self.reserved = 0
        while (due := self.until_due(until_top, until_below)) <= look:
            if self.timed is not None and self.clock.busy_until - self.clock.now > look:
                return  # it would only queue, in a slot
            if not self.free:
                self.reserved = 1
                return
            yield from self._read_ahead(self._absent[-1])
        if due < self._foresight * until_top:
            self.reserved = 1

    # -- inside --------------------------------------------------------------------------------

    def _cancel(self, state: Entry) -> Action:
        """Take back a write that has not begun."""
        later = list(self._dirty)[self._dirty.index(state) + 1 :]
        self.clock.cancel(_write(state), map(_write, later))
        self._dirty.remove(state)
        state.transfer, state.in_file = None, False
        self.locked += 1
        self.in_file -= 1
        return Cancel(state.leaf * self._leaf_steps)

    def _drop(self, state: Entry) -> Iterator[Action]:
        yield from self._forget(state)
        self.reckon()

    def _forget(self, state: Entry) -> Iterator[Action]:
        """Give up a state wherever it is."""
        step = state.leaf * self._leaf_steps
        if state.pinned:
            yield from self._unpin(state)
            if not state.in_slot:
                return
        self.release(state)
        if state.transfer is not None and state.transfer.begins > self.clock.now:
            yield self._cancel(state)
        self._leaving = state
        if state is self.kept[-1]:
            self.kept.pop()
        else:
            self.kept.remove(state)
        self.locked -= not state.in_file
        for states in (self.clean, self._dirty, self._doomed, self._absent):
            if state in states:
                states.remove(state)
        if state.in_slot:
            self.free += 1
            yield Discard(step, Tier.MEMORY)
        yield from self._leave_file(state)

    def _leave_file(self, state: Entry) -> Iterator[Action]:
        step = state.leaf * self._leaf_steps
        if state.transfer is not None:
            self.clock.wait(state.transfer)
            state.transfer = None
            yield Wait(step)
        if state.in_file:
            state.in_file = False
            self.in_file -= 1
            yield Discard(step, Tier.FILE)

    def _unpin(self, state: Entry) -> Iterator[Action]:
        """Wait for what is read ahead."""
        assert state.transfer is not None
        self.clock.wait(state.transfer)
        yield Wait(state.leaf * self._leaf_steps)
        if state.in_file:
            state.transfer = None
            state.pinned = False
            insort(self.clean, state, key=by_leaf)

    def _read_at_once(self) -> None:
        self.clock.compute(self.costs.post)
        self.clock.wait(self.clock.post(self.costs.read, reading=True))

    def _read_ahead(self, state: Entry) -> Iterator[Action]:
        self._absent.remove(state)
        self.free -= 1
        state.pinned = state.in_slot = True
        self.clock.compute(self.costs.post)
        state.transfer = self.clock.post(self.costs.read, reading=True)
        yield Prefetch(state.leaf * self._leaf_steps)


def _write(state: Entry) -> Transfer:
    """Return the write that is under way."""
    assert state.transfer is not None
    return state.transfer
