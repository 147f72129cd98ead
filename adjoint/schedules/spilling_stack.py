"""The stack of a spilling schedule: kept states and tapes, slots, and the virtual clock.

Nothing here knows where a state ought to be kept; `spilling_stream` decides that. Here is what its
decisions come to: which slot is taken, what is waited for, and when a state will be needed again.

The top of the stack is in slots, its bottom in the file alone. The bottom is *buried*: a few
numbers however many states it has. What is above it is listed, oldest first: at most a few more
than there are slots.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Generator, Iterator

from adjoint.actions import Action, Cancel, Discard, Offload, Prefetch, Restore, Store, Tier, Wait
from adjoint.costs import Costs
from adjoint.errors import ScheduleError
from adjoint.schedules.spilling_keeps import Comb, Combs
from adjoint.schedules.spilling_kept import Kept, by_leaf
from adjoint.schedules.spilling_pieces import Pieces
from adjoint.virtual_clock import VirtualClock

__all__ = ["Stack"]

AHEAD = 1.02
"""A read is posted so much earlier than it must be, lest rounding make it late."""


class Stack:
    """What is kept, and until when.

    Parameters
    ----------
    num_slots, tape_slots
        All slots there are, and those that a kept tape takes.
    leaf_steps
        Steps of a leaf.
    costs
        Of single steps and states: what the virtual clock goes by.
    pieces
        What reversing pieces takes.
    patience
        A state gives up its slot only if it is not needed for so many times what it takes to read.
    """

    def __init__(
        self,
        num_slots: int,
        tape_slots: int,
        leaf_steps: int,
        costs: Costs,
        pieces: Pieces,
        *,
        patience: float,
    ) -> None:
        self.num_slots = num_slots
        self.tape_slots = tape_slots
        self.costs = costs
        self.clock = VirtualClock(costs.slowdown)
        self.kept: deque[Kept] = deque()
        self.buried = Combs()
        self.clean: list[Kept] = []
        """States in both a slot and the file that are not pinned, oldest first."""
        self.free = num_slots
        self.reserved = 0
        """1 while a slot is kept back for a read that is due."""
        self.locked = 0
        """Slots of what is not in the file."""
        self.in_file = 0
        """States in the file, those being written included."""
        self._leaf_steps = leaf_steps
        self._pieces = pieces
        self._patience = patience
        self._absent: list[Kept] = []
        """Listed states that are in the file alone, oldest first."""
        self._dirty: deque[Kept] = deque()
        """States whose write is under way."""
        self._doomed: list[Kept] = []
        """States in slots whose write failed in the forward sweep: the first to give theirs up."""
        self._lost: set[int] = set()
        """Buried states that the file does not have after all."""

    @property
    def has_absent(self) -> bool:
        """Whether there is a state in the file alone."""
        return bool(self._absent) or self.buried.count > 0

    # -- the forward sweep --------------------------------------------------------------------

    def store(self, leaf: int, place: tuple[Comb, int] | None = None) -> Iterator[Action]:
        """Keep the live state in a free slot; with a place in the file, post its write as well."""
        state = self._push(Kept(leaf, self.locked, self._below(leaf)), 1)
        yield Store(leaf * self._leaf_steps)
        self.clock.compute(self.costs.store)
        if place is not None:
            state.place = place
            state.in_file = True
            self.locked -= 1
            self.in_file += 1
            yield Offload(leaf * self._leaf_steps)
            self.clock.compute(self.costs.post)
            state.transfer = self.clock.post(self.costs.write, reading=False)
            self._dirty.append(state)

    def make_room(self) -> Iterator[Action]:
        """Have a free slot, if need be by waiting for a write, if there is a way at all."""
        if self.free:
            return
        if self._doomed:
            yield from self._drop(self._doomed.pop(0))
            return
        self._settle()
        if not self.clean and self._dirty:
            transfer = self._dirty[0].transfer
            assert transfer is not None
            self.clock.wait(transfer)
            self._settle()
        if self.clean:
            yield from self.evict(self.clean[0])

    def cancel_writes(self) -> Iterator[Action]:
        """Take back the writes that have not begun: their states stay in memory."""
        for state in reversed(self._dirty.copy()):
            assert state.transfer is not None
            if state.transfer.begins <= self.clock.now:
                break
            self._dirty.pop()
            self.clock.cancel(state.transfer, ())
            state.transfer = None
            state.in_file = False
            self.locked += 1
            self.in_file -= 1
            yield Cancel(state.leaf * self._leaf_steps)
        self.reckon()

    def drop(self, states: list[Kept]) -> Iterator[Action]:
        """Give up states that are in slots alone; the list is empty afterwards."""
        while states:
            yield from self._drop(states.pop())

    def thin(self) -> Iterator[Action]:
        """Give up every second state in the file, from the second on."""
        odd = self.buried.count % 2
        for leaf in list(self.buried.thin()):
            if leaf in self._lost:
                self._lost.remove(leaf)
                continue
            self.in_file -= 1
            yield Discard(leaf * self._leaf_steps, Tier.FILE)
        for state in [state for state in self.kept if state.in_file]:
            if odd:
                yield from self._forget(state)
            odd = 1 - odd
        self.reckon()

    # -- both sweeps --------------------------------------------------------------------------

    def keep_tape(self, leaf: int) -> None:
        """Take note that the tape of a leaf is kept."""
        tape = Kept(leaf, self.locked, self._below(leaf), is_tape=True)
        self._push(tape, self.tape_slots)

    def evict(self, state: Kept) -> Iterator[Action]:
        """Give up the slot of a written state."""
        step = state.leaf * self._leaf_steps
        self.clean.remove(state)
        if state.transfer is not None:
            state.transfer = None
            yield Wait(step)
        yield Discard(step, Tier.MEMORY)
        if not state.in_file:
            return  # lost meanwhile
        state.in_slot = False
        self.free += 1
        insort(self._absent, state, key=by_leaf)
        while len(self.kept) > 1 and not self.kept[0].in_slot:
            buried = self.kept.popleft()
            self._absent.remove(buried)
            assert buried.place is not None, "only what was sent to the file gives up its slot"
            self.buried.add(*buried.place)

    # -- the reverse sweep --------------------------------------------------------------------

    def top(self) -> Kept:
        """Return what is at the top."""
        if not self.kept:
            self._unbury()
        return self.kept[-1]

    def restore(self, state: Kept) -> Generator[Action, None, bool]:
        """Make the top state live; it keeps its slot, if it has one. Return False if it is lost."""
        if state.pinned:
            yield from self._unpin(state)
            if not state.in_slot:
                return False
        yield Restore(state.leaf * self._leaf_steps)
        if state.in_slot:
            self.clock.compute(self.costs.restore)
            return True
        self._read_at_once()
        return state.in_file

    def take(self, state: Kept) -> Generator[Action, None, bool]:
        """Make the top state live and give it up. Return False if it is lost."""
        step = state.leaf * self._leaf_steps
        if state.pinned:
            yield from self._unpin(state)
            if not state.in_slot:
                return False
        elif state.transfer is not None:
            transfer, state.transfer = state.transfer, None
            yield Wait(step)
            self.clock.wait(transfer)
        yield Restore(step)
        if not state.in_slot:
            self._read_at_once()
            if not state.in_file:
                return False
        yield from self.discard_top()
        return True

    def discard_top(self) -> Iterator[Action]:
        """Give up the top state: its slot, and its place in the file."""
        yield from self._forget(self.kept[-1])

    def discard_top_tape(self) -> None:
        """Take note that the tape at the top is pulled back."""
        self.kept.pop()
        self.free += self.tape_slots
        self.locked -= self.tape_slots

    def insist_on_room(self) -> Iterator[Action]:
        """Have a free slot, even that of a state that is being read ahead."""
        yield from self.make_room()
        if not self.free:
            yield from self._unpin(next(state for state in self.kept if state.pinned))
            yield from self.make_room()

    # -- looking ahead ------------------------------------------------------------------------

    def seconds(self, leaves: int, state: Kept) -> float:
        """Return what reversing so many leaves from a kept state, or by a kept tape, takes."""
        if state.is_tape:
            return self._pieces.pull_back_seconds
        slots = self.num_slots - state.locked
        return self._pieces.seconds_and_split(leaves, slots, state.in_file)[0]

    def may_evict(self, until: float) -> bool:
        """Return whether a state in the file that is needed after so long may give up its slot."""
        return until >= self._patience * self._notice()

    def evictable(self, until_top: float, until_below: float) -> int:
        """Return how many slots are held by states that may give them up.

        The top is needed again after `until_top`; what is below it is needed after `until_below`
        and whatever lies between.
        """
        self._settle()
        clean = self.clean
        if not clean:
            return 0
        notice, top = self._patience * self._notice(), self.kept[-1]
        count = len(clean)
        if clean[-1] is top:
            if until_top >= notice:
                return count
            count -= 1
        latest = until_below + top.below - notice
        while count and clean[count - 1].above > latest:
            count -= 1
        return count

    def prefetch(self, until_top: float, until_below: float, look: float) -> Iterator[Action]:
        """Read ahead what is due within `look`, if there is a slot; else keep back the next one."""
        self.reserved = 0
        while self.has_absent:
            top = self.top()
            if not self._absent:
                until = until_below + top.below - self.kept[0].below
            elif self._absent[-1] is top:
                until = until_top
            else:
                until = until_below + top.below - self._absent[-1].above
            if until > self._notice() + look:
                return
            if not self.free:
                self.reserved = 1
                return
            if not self._absent:
                self._unbury()
            yield from self._read_ahead(self._absent[-1])

    def reckon(self) -> None:
        """Reckon anew what every listed piece takes, after states or costs have changed."""
        locked, below, under = 0, 0.0, None
        for state in self.kept:
            if under is not None:
                below = under.above = below + self.seconds(state.leaf - under.leaf, under)
            state.locked, state.below = locked, below
            if state.is_tape:
                locked += self.tape_slots
            elif not state.in_file:
                locked += 1
            under = state

    def lose(self, leaf: int, *, turned: bool) -> None:
        """Forget that the file has a state; without a slot it is gone altogether."""
        listed = bisect_left(self.kept, leaf, key=by_leaf)
        found = listed < len(self.kept) and self.kept[listed].leaf == leaf
        state = self.kept[listed] if found else None
        resident = state is not None and state.in_slot and not state.pinned
        if leaf == 0 and not resident:
            raise ScheduleError("the initial state is lost: there is nothing to recompute it from")
        self.in_file -= 1
        if state is None:
            self._lost.add(leaf)
            return
        state.transfer = None
        state.in_file = False
        if resident:
            (self.clean if state in self.clean else self._dirty).remove(state)
            self.locked += 1
            if leaf and not turned:
                self._doomed.append(state)
        else:
            if state.in_slot:
                self.free += 1
                state.in_slot = state.pinned = False
            else:
                self._absent.remove(state)
            del self.kept[listed]
        self.reckon()

    # -- inside -------------------------------------------------------------------------------

    def _below(self, leaf: int) -> float:
        """Return what reversing all that is below a new top will take; fix the top's own piece."""
        if not self.kept:
            return 0.0
        top = self.kept[-1]
        top.above = top.below + self.seconds(leaf - top.leaf, top)
        return top.above

    def _push(self, kept: Kept, slots: int) -> Kept:
        self.kept.append(kept)
        self.free -= slots
        self.locked += slots
        return kept

    def _drop(self, state: Kept) -> Iterator[Action]:
        self.kept.remove(state)
        self.free += 1
        self.locked -= 1
        yield Discard(state.leaf * self._leaf_steps, Tier.MEMORY)
        self.reckon()

    def _forget(self, state: Kept) -> Iterator[Action]:
        """Give up a state wherever it is."""
        step = state.leaf * self._leaf_steps
        if state is self.kept[-1]:
            self.kept.pop()
        else:
            self.kept.remove(state)
        if state.in_slot:
            self.free += 1
            if state in self.clean:
                self.clean.remove(state)
            elif state in self._dirty:
                self._dirty.remove(state)
            yield Discard(step, Tier.MEMORY)
        else:
            self._absent.remove(state)
        if not state.in_file:
            self.locked -= 1
            return
        if state.transfer is not None:
            yield Wait(step)
            self.clock.wait(state.transfer)
        self.in_file -= 1
        yield Discard(step, Tier.FILE)

    def _settle(self) -> None:
        """Take note of the writes that are done by now."""
        dirty, now = self._dirty, self.clock.now
        while dirty:
            transfer = dirty[0].transfer
            if transfer is not None and transfer.ends > now:
                return
            insort(self.clean, dirty.popleft(), key=by_leaf)

    def _notice(self) -> float:
        """Return how long before its use a state must be asked for."""
        backlog = self.clock.busy_until - self.clock.now
        return AHEAD * self.costs.read + (backlog if backlog > 0 else 0.0)

    def _unpin(self, state: Kept) -> Iterator[Action]:
        """Wait for what is read ahead."""
        transfer = state.transfer
        assert transfer is not None
        yield Wait(state.leaf * self._leaf_steps)
        self.clock.wait(transfer)
        if state.in_file:
            state.transfer = None
            state.pinned = False
            insort(self.clean, state, key=by_leaf)

    def _read_at_once(self) -> None:
        self.clock.compute(self.costs.post)
        self.clock.wait(self.clock.post(self.costs.read, reading=True))

    def _read_ahead(self, state: Kept) -> Iterator[Action]:
        self._absent.remove(state)
        self.free -= 1
        state.pinned = state.in_slot = True
        yield Prefetch(state.leaf * self._leaf_steps)
        self.clock.compute(self.costs.post)
        state.transfer = self.clock.post(self.costs.read, reading=True)

    def _unbury(self) -> None:
        leaf, place = self.buried.pop()
        while leaf in self._lost:
            self._lost.remove(leaf)
            leaf, place = self.buried.pop()
        state = Kept(leaf, 0, 0.0)
        state.in_slot = False
        state.in_file = True
        state.place = place
        if self.kept:
            above = self.kept[0]
            state.above = above.below
            state.below = state.above - self.seconds(above.leaf - leaf, state)
        self.kept.appendleft(state)
        self._absent.insert(0, state)
