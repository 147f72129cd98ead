"""What a spilling stack holds: kept states and tapes, slots, and when each is needed again.

The top of the stack is in slots, its bottom in the file alone. The bottom is *buried*: a few
numbers however many states it has. What is above it is listed, oldest first: at most a few more
than there are slots. Here nothing is decided and no action is given: `spilling_stack` does that.
"""

from bisect import bisect_left, insort
from collections import deque
from math import inf

from adjoint.errors import ScheduleError
from adjoint.schedules.clock import VirtualClock
from adjoint.schedules.costs import Costs
from adjoint.schedules.spilling.entry import Entry, by_leaf
from adjoint.schedules.spilling.segments import SegmentCosts
from adjoint.schedules.spilling.spacing import Combs, EvenSteps
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["AHEAD", "Bookkeeping"]

MOST_OFF = 1.25
"""By which factor costs may differ from those that `TimedTable` was made for."""

AHEAD = 1.02
"""A read is posted so much earlier than it must be, lest rounding make it late."""


class Bookkeeping:
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
    foresight
        A slot is kept back for a read that will be due before this share is reversed of what is
        reversed next.
    timed
        Where states are kept if it is reckoned with what transfers hold.
    """

    def __init__(
        self,
        num_slots: int,
        tape_slots: int,
        leaf_steps: int,
        costs: Costs,
        pieces: SegmentCosts,
        *,
        patience: float,
        foresight: float,
        timed: TimedTable | None = None,
    ) -> None:
        self.num_slots = num_slots
        self.tape_slots = tape_slots
        self.costs = self._given = costs
        self.clock = VirtualClock(costs)
        self.kept: deque[Entry] = deque()
        self.buried = Combs()
        self.clean: list[Entry] = []
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
        self._foresight = foresight
        self.timed = timed
        self._notice = AHEAD if timed is None else 1.0
        self._absent: list[Entry] = []
        """Listed states that are in the file alone, oldest first."""
        self._dirty: deque[Entry] = deque()
        """States whose write is under way."""
        self._doomed: list[Entry] = []
        """States in slots whose write failed in the forward sweep: the first to give theirs up."""
        self._thinned = Combs()
        """Buried states that are being given up."""
        self._leaving: Entry | None = None
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

    def keep_tape(self, leaf: int) -> None:
        """Take note that the tape of a leaf is kept."""
        tape = Entry(leaf, self.locked, self._below(leaf), is_tape=True)
        self._push(tape, self.tape_slots)

    def bury(self, comb: EvenSteps, k: int) -> None:
        """Take note that the file has the k-th state of a comb, right of all others."""
        self.buried.add(comb, k)
        self.in_file += 1

    def top(self) -> Entry:
        """Return what is at the top."""
        if not self.kept:
            self._unbury()
        return self.kept[-1]

    def top_state(self) -> Entry:
        """Return the topmost state: the top, or below the tapes there."""
        while (state := next(filter(_is_state, reversed(self.kept)), None)) is None:
            self._unbury()
        return state

    def gives_up(self, state: Entry | None) -> int:
        """Return how many slots a state gives up at once when it is spent."""
        return int(state is not None and state.in_slot and not self._is_moving(state))

    def forget_top(self) -> None:
        """Take note that the top state, which is in a slot alone, is not needed any more."""
        self.kept.pop()
        self.free += 1
        self.locked -= 1

    def update_costs(self, costs: Costs) -> None:
        """Go by other costs from now on; what is under way takes what it was to take."""
        if self.timed is not None and _differ(costs, self._given):
            self.timed = None
        self.costs = costs
        self.clock.update_costs(costs)

    # -- looking ahead -------------------------------------------------------------------------

    def seconds(self, leaves: int, state: Entry) -> float:
        """Return what reversing so many leaves from a kept state, or by a kept tape, takes."""
        if state.is_tape:
            return self._pieces.pull_back_seconds
        if (
            self.timed is not None
            and 0 < leaves <= self.timed.max_leaves
            and state.locked < self.num_slots
        ):
            unit, ahead = self.costs.advance * self._leaf_steps, self.ahead(state)
            cost, _move = self.timed.look(leaves, state.locked, ahead / unit, in_file=state.in_file)
            if cost < inf:
                return cost * unit
        slots = self.num_slots - state.locked
        return self._pieces.seconds_and_split(leaves, slots, state.in_file)[0]

    def ahead(self, state: Entry, piece: float | None = None) -> float:
        """Return how long after the piece of a kept state is reversed the next read is wanted.

        If `piece` is given, that is what the state's piece takes, and how long after the one above.
        """
        from_now = state.below
        if piece is not None:
            if state.in_file and not state.held:
                return 0.0
            from_now += piece
        for other in reversed(self.kept):
            if other.leaf < state.leaf and other.in_file and not other.held:
                return from_now - other.above
        return 0.0 if self.buried.count else inf

    def until_written(self) -> float:
        """Return how much longer a slot is held by a write."""
        for state in self._dirty:
            if not state.held:
                return max(0.0, self.clock.busy_until - self.clock.now)
        return 0.0

    def hold(self, state: Entry) -> None:
        """Take note that a state in the file keeps its slot."""
        state.held = True
        self.locked += 1
        if state in self.clean:
            self.clean.remove(state)

    def let_go(self, leaf: int) -> None:
        """Take note that the top, if it is the state of a leaf, need not keep its slot."""
        if self.kept and self.kept[-1].leaf == leaf:
            self.release(self.kept[-1])

    def release(self, state: Entry) -> None:
        """Take note that a state in the file need not keep its slot any more."""
        if not state.held:
            return
        state.held = False
        self.locked -= 1
        if state not in self._dirty:
            insort(self.clean, state, key=by_leaf)

    def needs_no_slot(self, top: Entry, until_top: float, until_below: float) -> bool:
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
            first = min(first, below - absent[-2].above - self._notice * self.costs.read)
        return first - notice

    # -- when the world says otherwise ---------------------------------------------------------

    def reckon(self) -> None:
        """Reckon anew what every listed piece takes, after states or costs have changed."""
        locked, below, under = 0, 0.0, None
        for state in self.kept:
            if under is not None:
                below = under.above = below + self.seconds(state.leaf - under.leaf, under)
            state.locked, state.below = locked, below
            if state.is_tape:
                locked += self.tape_slots
            elif state.locks:
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
        if state is not None:
            self.release(state)
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

    # -- inside --------------------------------------------------------------------------------

    def _is_moving(self, state: Entry) -> bool:
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

    def _push(self, kept: Entry, slots: int) -> Entry:
        self.kept.append(kept)
        self.free -= slots
        self.locked += slots
        return kept

    def _settle(self) -> None:
        """Take note of the writes that are done by now."""
        dirty, now = self._dirty, self.clock.now
        while dirty:
            transfer = dirty[0].transfer
            if transfer is not None and transfer.ends > now:
                return
            state = dirty.popleft()
            if not state.held:
                insort(self.clean, state, key=by_leaf)

    def _long_enough(self, piece: float) -> float:
        """Return how long a state must not be needed to give up its slot.

        Its own piece takes so many seconds. What is below it is read meanwhile, or before it.
        """
        notice = self.notice()
        return self._patience * notice + (max(0.0, notice - piece) if self.has_absent else 0.0)

    def notice(self) -> float:
        """Return how long before its use a state must be asked for."""
        backlog = self.clock.busy_until - self.clock.now
        return self._notice * self.costs.read + (backlog if backlog > 0 else 0.0)

    def _unbury(self) -> None:
        leaf, place = self.buried.pop()
        while leaf in self._lost:
            self._lost.remove(leaf)
            leaf, place = self.buried.pop()
        state = Entry(leaf, 0, 0.0)
        state.in_slot = False
        state.in_file = True
        state.place = place
        if self.kept:
            above = self.kept[0]
            state.above = above.below
            state.below = state.above - self.seconds(above.leaf - leaf, state)
        self.kept.appendleft(state)
        self._absent.insert(0, state)


def _differ(costs: Costs, others: Costs) -> bool:
    """Return whether a table for some costs is of no use for others: it need not be the best."""
    pairs = ((costs.read, others.read), (costs.write, others.write))
    return any(
        max(now * others.advance, was * costs.advance)
        > MOST_OFF * min(now * others.advance, was * costs.advance)
        for now, was in pairs
    )


def _is_state(kept: Entry) -> bool:
    return not kept.is_tape
