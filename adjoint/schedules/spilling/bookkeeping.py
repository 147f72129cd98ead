"""What a spilling stack holds: kept states and tapes, slots, and what reversing each piece takes.

The top of the stack is in slots, its bottom in the file alone. The bottom is *archived*: a few
numbers, however many states it has. What is above it is listed, oldest first: at most a few more
entries than there are slots. Nothing is decided here, and no action is given.
"""

from bisect import insort
from collections import deque
from collections.abc import Collection
from math import inf

from adjoint.errors import ScheduleError
from adjoint.schedules.clock import VirtualClock
from adjoint.schedules.costs import Costs
from adjoint.schedules.spilling.entry import Entry, Place, by_leaf
from adjoint.schedules.spilling.parameters import SpillingParameters
from adjoint.schedules.spilling.segments import SegmentCosts
from adjoint.schedules.spilling.spacing import EvenSteps, LeafRuns

__all__ = ["Bookkeeping"]


class Bookkeeping:
    """What is kept, and where.

    A stream and its parts share one. They read its attributes; `Stack`, which gives the actions, is
    the one that changes them, and the clock is advanced by whoever computes.

    Parameters
    ----------
    schedule
        Whose states are kept.
    segments
        What reversing segments takes.
    """

    def __init__(self, schedule: SpillingParameters, segments: SegmentCosts) -> None:
        self.num_slots = schedule.num_slots
        self.tape_slots = schedule.tape_slots
        """Slots that a kept tape takes."""
        self.leaf_steps = schedule.leaf_steps
        self.max_in_file = schedule.file_states
        """States that the file has room for."""
        self.costs = schedule.costs
        """Costs of single steps and states, for the virtual clock."""
        self.clock = VirtualClock(schedule.costs)
        self.kept: deque[Entry] = deque()
        """What is listed, oldest first: the top is the last."""
        self.archived = LeafRuns()
        """States below those, in the file alone."""
        self.free = schedule.num_slots
        """Slots that nothing is in."""
        self.reserved = 0
        """1 while the next free slot is wanted for a read that is due."""
        self.locked = 0
        """Slots of what is not in the file."""
        self.in_file = 0
        """States in the file, those being written included."""
        self.clean: list[Entry] = []
        """States in both a slot and the file that may be evicted, oldest first."""
        self.writing: deque[Entry] = deque()
        """States whose write was under way when this was last looked at (`settle`)."""
        self.absent: list[Entry] = []
        """Listed states that are in the file alone, oldest first."""
        self.evict_first: list[Entry] = []
        """States in slots alone that are discarded as soon as a slot is wanted."""
        self._segments = segments

    @property
    def has_absent(self) -> bool:
        """Whether there is a state in the file alone."""
        return bool(self.absent) or self.archived.count > 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self.kept and not self.archived.count

    def top(self) -> Entry:
        """Return the entry at the top, of which there must be one."""
        if not self.kept:
            self.unarchive()
        return self.kept[-1]

    def is_moving(self, state: Entry) -> bool:
        """Return whether a state is being read ahead, or its write has begun and is not done."""
        transfer = state.transfer
        if state.pinned or transfer is None:
            return state.pinned
        return transfer.begins <= self.clock.now < transfer.ends

    def frees_slot(self, state: Entry | None) -> int:
        """Return how many slots discarding a state frees at once: 0 or 1."""
        return int(state is not None and state.in_slot and not self.is_moving(state))

    # -- what reversing takes ------------------------------------------------------------------

    def seconds(self, leaves: int, entry: Entry) -> float:
        """Return the seconds to reverse `leaves` leaves from a kept state, or by a kept tape."""
        if entry.is_tape:
            return self._segments.leaf.pull_back
        slots = self.num_slots - entry.locked
        return self._segments.seconds_and_split(leaves, slots, entry.in_file)[0]

    def update_costs(self, costs: Costs) -> None:
        """Use other costs from now on; transfers under way keep their times."""
        self.costs = costs
        self.clock.update_costs(costs)
        self.revalue()

    def revalue(self) -> None:
        """Work out anew what every listed entry takes, after states or costs have changed."""
        locked, below, under = 0, 0.0, None
        for entry in self.kept:
            if under is not None:
                below = under.above = below + self.seconds(entry.leaf - under.leaf, under)
            entry.locked, entry.below = locked, below
            if entry.is_tape:
                locked += self.tape_slots
            elif not entry.in_file:
                locked += 1
            under = entry

    # -- changes -------------------------------------------------------------------------------

    def push_state(self, leaf: int) -> Entry:
        """Note that the live state, before a leaf, is kept in a free slot."""
        return self._push(Entry(leaf, self.locked, self._below(leaf)), 1)

    def push_tape(self, leaf: int) -> Entry:
        """Note that the tape of a leaf is kept."""
        return self._push(
            Entry(leaf, self.locked, self._below(leaf), is_tape=True), self.tape_slots
        )

    def settle(self) -> None:
        """Move the writes that are done by now, on the virtual clock, to the clean states."""
        writing, now = self.writing, self.clock.now
        while writing:
            transfer = writing[0].transfer
            if transfer is not None and transfer.ends > now:
                return
            insort(self.clean, writing.popleft(), key=by_leaf)

    def archive_bottom(self) -> None:
        """Take states that are in the file alone off the bottom of the list, if these are many."""
        while len(self.absent) > self.num_slots and not self.kept[0].in_slot:
            state = self.kept.popleft()
            self.absent.remove(state)
            assert state.place is not None, "only what was sent to the file is evicted"
            self.archived.add(*state.place)

    def unarchive(self) -> None:
        """List the topmost archived state, of which there must be one."""
        leaf, place = self.archived.pop()
        state = _in_file_alone(leaf, place)
        if self.kept:
            above = self.kept[0]
            state.above = above.below
            state.below = state.above - self.seconds(above.leaf - leaf, state)
        self.kept.appendleft(state)
        self.absent.insert(0, state)

    def take_over(self, in_file: Collection[int], in_slots: Collection[int]) -> None:
        """List the states that an interrupted run has left: the leaves of those in each place.

        States below the first one in a slot are archived at once, but for the top.

        Raises
        ------
        ScheduleError
            There are more states in slots than slots, or the initial state is not among them all.
        """
        in_file, in_slots = set(in_file), set(in_slots)
        leaves = sorted(in_file | in_slots)
        if len(in_slots) > self.num_slots:
            raise ScheduleError(f"{len(in_slots)} states are in {self.num_slots} slots")
        if leaves and leaves[0] != 0:
            raise ScheduleError(
                f"the first state kept is that of step {leaves[0] * self.leaf_steps}: there is "
                "nothing to recompute what is left of it from"
            )
        lowest = min(in_slots, default=inf)
        for leaf in leaves:
            place = (EvenSteps.single(leaf), 0)
            if leaf < lowest:
                self.archived.add(*place)
                continue
            state = _in_file_alone(leaf, place) if leaf in in_file else Entry(leaf, 0, 0.0)
            state.in_slot = leaf in in_slots
            self.kept.append(state)
            if not state.in_file:
                self.locked += 1
            else:
                (self.clean if state.in_slot else self.absent).append(state)
        self.in_file += len(in_file)
        self.free -= len(in_slots)
        self.revalue()
        if not self.kept and self.archived.count:
            self.unarchive()

    # -- inside --------------------------------------------------------------------------------

    def _below(self, leaf: int) -> float:
        """Return what reversing all below a new top will take; its segment ends the old top's."""
        if not self.kept:
            return 0.0
        top = self.kept[-1]
        top.above = top.below + self.seconds(leaf - top.leaf, top)
        return top.above

    def _push(self, entry: Entry, slots: int) -> Entry:
        self.kept.append(entry)
        self.free -= slots
        self.locked += slots
        return entry


def _in_file_alone(leaf: int, place: Place) -> Entry:
    state = Entry(leaf, 0, 0.0)
    state.in_slot = False
    state.in_file = True
    state.place = place
    return state
