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
from math import inf

from adjoint.actions import Action, Cancel, Discard, Offload, Prefetch, Restore, Store, Tier, Wait
from adjoint.costs import Costs
from adjoint.errors import ScheduleError
from adjoint.schedules.spilling_keeps import Comb, Combs
from adjoint.schedules.spilling_kept import Kept, by_leaf
from adjoint.schedules.spilling_pieces import Pieces
from adjoint.virtual_clock import Transfer, VirtualClock

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
        self._thinned = Combs()
        """Buried states that are being given up."""
        self._leaving: Kept | None = None
        """What is being given up."""
        self._lost: set[int] = set()
        """Buried states that the file does not have after all."""

    @property
    def is_writing(self) -> bool:
        """Whether writes are under way."""
        return bool(self._dirty)

    @property
    def has_absent(self) -> bool:
        """Whether there is a state in the file alone."""
        return bool(self._absent) or self.buried.count > 0

    # -- the forward sweep --------------------------------------------------------------------

    def store(self, leaf: int, place: tuple[Comb, int] | None = None) -> Iterator[Action]:
        """Keep the live state in a free slot; with a place in the file, post its write as well."""
        state = self._push(Kept(leaf, self.locked, self._below(leaf)), 1)
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

    def drop(self, states: list[Kept]) -> Iterator[Action]:
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

    # -- both sweeps --------------------------------------------------------------------------

    def keep_tape(self, leaf: int) -> None:
        """Take note that the tape of a leaf is kept."""
        tape = Kept(leaf, self.locked, self._below(leaf), is_tape=True)
        self._push(tape, self.tape_slots)

    def evict(self, state: Kept) -> Iterator[Action]:
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

    # -- the reverse sweep --------------------------------------------------------------------

    def top(self) -> Kept:
        """Return what is at the top."""
        if not self.kept:
            self._unbury()
        return self.kept[-1]

    def top_state(self) -> Kept:
        """Return the topmost state: the top, or below the tapes there."""
        while (state := next(filter(_is_state, reversed(self.kept)), None)) is None:
            self._unbury()
        return state

    def fetch(self, state: Kept) -> Generator[Action, None, bool]:
        """Have a state in its slot, or live if it has none; return False if it is lost."""
        if state.pinned:
            yield from self._unpin(state)
        elif not state.in_slot:
            self._read_at_once()
            yield Restore(state.leaf * self._leaf_steps)
        return state.in_slot or state.in_file

    def restore(self, state: Kept) -> Action:
        """Make a state in a slot live; it keeps its slot."""
        self.clock.compute(self.costs.restore)
        return Restore(state.leaf * self._leaf_steps)

    def take(self, state: Kept) -> Generator[Action, None, bool]:
        """Make the top state live and give it up. Return False if it is lost."""
        if not state.is_resident and not (yield from self.fetch(state)):
            return False
        if state.in_slot:
            yield Restore(state.leaf * self._leaf_steps)
        yield from self.discard_top()
        return True

    def gives_up(self, state: Kept | None) -> int:
        """Return how many slots a state gives up at once when it is spent."""
        return int(state is not None and state.in_slot and not self._is_moving(state))

    def spend_top(self, *, resting: bool) -> Iterator[Action]:
        """Give up the top state, whose leaf is about to be recorded; if `resting`, restore it.

        If it is just being written, or read, it keeps its slot meanwhile: nothing waits for that.
        """
        state = self.kept[-1]
        state.spent = self._is_moving(state)
        if resting and state.spent:
            yield self.restore(state)
        elif resting:
            yield Restore(state.leaf * self._leaf_steps)
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

    def forget_top(self) -> None:
        """Take note that the top state, which is in a slot alone, is not needed any more."""
        self.kept.pop()
        self.free += 1
        self.locked -= 1

    def insist_on_room(self) -> Iterator[Action]:
        """Have a free slot, even that of a state that is being read ahead, if there is any."""
        yield from self.make_room()
        if not self.free:
            pinned = next((state for state in self.kept if state.pinned), None)
            if pinned is not None:
                yield from self._unpin(pinned)
                yield from self.make_room()

    def observe(self, costs: Costs) -> None:
        """Go by other costs from now on; what is under way takes what it was to take."""
        before = self.clock
        self.costs = costs
        self.clock = VirtualClock(costs.slowdown)
        self.clock.now, self.clock.stall = before.now, before.stall
        self.clock.busy_until = before.busy_until

    # -- looking ahead ------------------------------------------------------------------------

    def seconds(self, leaves: int, state: Kept) -> float:
        """Return what reversing so many leaves from a kept state, or by a kept tape, takes."""
        if state.is_tape:
            return self._pieces.pull_back_seconds
        slots = self.num_slots - state.locked
        return self._pieces.seconds_and_split(leaves, slots, state.in_file)[0]

    def needs_no_slot(self, top: Kept, until_top: float, until_below: float) -> bool:
        """Return whether the top, which is in the file, leaves all slots to what is above it.

        It has no slot, or gives it up, or its slot is one of those that are still written from.
        """
        if top.transfer is not None or not top.in_slot:
            return True
        return until_top >= self._long_enough(until_below - until_top)

    def evictable(self, until_top: float, until_below: float) -> int:
        """Return how many slots are held by states that may give them up.

        The top is needed again after `until_top`; what is below it is needed after `until_below`
        and whatever lies between.
        """
        self._settle()
        clean = self.clean
        if not clean:
            return 0
        top = self.kept[-1]
        count = len(clean)
        if clean[-1] is top:
            if until_top >= self._long_enough(until_below - until_top):
                return count
            count -= 1
        below = until_below + top.below
        while count:
            state = clean[count - 1]
            if below - state.above >= self._long_enough(state.above - state.below):
                return count
            count -= 1
        return 0

    def until_due(self, until_top: float, until_below: float) -> float:
        """Return in how many seconds the next read must be posted; infinite if there is none.

        That is when the first state that is in the file alone would just be in time, or the second,
        which is read after it.
        """
        absent, notice = self._absent, self.notice()
        while len(absent) < 2 and self.buried.count:
            self._unbury()
        if not absent:
            return inf
        top = self.kept[-1]
        below = until_below + top.below
        first = until_top if absent[-1] is top else below - absent[-1].above
        if len(absent) > 1:
            first = min(first, below - absent[-2].above - AHEAD * self.costs.read)
        return first - notice

    def prefetch(self, until_top: float, until_below: float, look: float) -> Iterator[Action]:
        """Read ahead what is due within `look`, if there is a slot; else keep back the next one."""
        self.reserved = 0
        while self.until_due(until_top, until_below) <= look:
            if not self.free:
                self.reserved = 1
                return
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
        leaving = self._leaving
        if leaving is not None and leaving.leaf == leaf and leaving.in_file:
            leaving.in_file, leaving.transfer = False, None
            self.in_file -= 1
            return
        listed = bisect_left(self.kept, leaf, key=by_leaf)
        found = listed < len(self.kept) and self.kept[listed].leaf == leaf
        state = self.kept[listed] if found else None
        buried = self.buried.has(leaf) or self._thinned.has(leaf)
        if not (state.in_file if state else buried and leaf not in self._lost):
            raise ScheduleError(
                f"the file has no state of step {leaf * self._leaf_steps}: only what was sent "
                "there and not given up can be lost"
            )
        resident = state is not None and state.is_resident
        if leaf == 0 and not resident:
            raise ScheduleError("the initial state is lost: there is nothing to recompute it from")
        self.in_file -= 1
        if state is None:
            self._lost.add(leaf)
            return
        state.transfer, state.in_file = None, False
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

    def _is_moving(self, state: Kept) -> bool:
        """Return whether a state is being read ahead, or its write has begun and is not done."""
        transfer = state.transfer
        if state.pinned or transfer is None:
            return state.pinned
        return transfer.begins <= self.clock.now < transfer.ends

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

    def _cancel(self, state: Kept) -> Action:
        """Take back a write that has not begun."""
        later = list(self._dirty)[self._dirty.index(state) + 1 :]
        self.clock.cancel(_write(state), map(_write, later))
        self._dirty.remove(state)
        state.transfer, state.in_file = None, False
        self.locked += 1
        self.in_file -= 1
        return Cancel(state.leaf * self._leaf_steps)

    def _drop(self, state: Kept) -> Iterator[Action]:
        yield from self._forget(state)
        self.reckon()

    def _forget(self, state: Kept) -> Iterator[Action]:
        """Give up a state wherever it is."""
        step = state.leaf * self._leaf_steps
        if state.pinned:
            yield from self._unpin(state)
            if not state.in_slot:
                return
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

    def _leave_file(self, state: Kept) -> Iterator[Action]:
        step = state.leaf * self._leaf_steps
        if state.transfer is not None:
            self.clock.wait(state.transfer)
            state.transfer = None
            yield Wait(step)
        if state.in_file:
            state.in_file = False
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

    def _long_enough(self, piece: float) -> float:
        """Return how long a state must not be needed to give up its slot.

        Its own piece takes so many seconds. What is below it is read meanwhile, or before it.
        """
        notice = self.notice()
        return self._patience * notice + (max(0.0, notice - piece) if self.has_absent else 0.0)

    def notice(self) -> float:
        """Return how long before its use a state must be asked for."""
        backlog = self.clock.busy_until - self.clock.now
        return AHEAD * self.costs.read + (backlog if backlog > 0 else 0.0)

    def _unpin(self, state: Kept) -> Iterator[Action]:
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

    def _read_ahead(self, state: Kept) -> Iterator[Action]:
        self._absent.remove(state)
        self.free -= 1
        state.pinned = state.in_slot = True
        self.clock.compute(self.costs.post)
        state.transfer = self.clock.post(self.costs.read, reading=True)
        yield Prefetch(state.leaf * self._leaf_steps)

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


def _is_state(kept: Kept) -> bool:
    return not kept.is_tape


def _write(state: Kept) -> Transfer:
    """Return the write that is under way."""
    assert state.transfer is not None
    return state.transfer
