"""Every I-th state goes to the file in the background; between them, Revolve in memory.

Kukreja, Hückelheim and Gorman (2018, arXiv:1806.01117). *Forward*, the state at each boundary
``0, I, 2I, …`` is put in a slot and its write is posted; the computation goes on meanwhile. A
few slots may be staging writes at once; only when they are all taken, or no slot is free, is
the oldest write waited for and its slot given up. *Reverse*, the segments between boundaries are
reversed one by one, last first, each by Revolve with its start kept in a slot. While one is
reversed the start of the one before it is read in the background, into a slot kept free for it.

So a segment may use one slot less than there are; only the first segment of the run, which has
none before it, may use them all. Three things are not in the paper, and cost nothing:

- the state at the last boundary is needed first, so it stays in memory and is never written;
- a state whose slot was not needed between its write and its use is not read again: that of the
  boundary before the last one never leaves memory;
- a run of a single segment is plain Revolve.

The overhead does not grow with the number of steps. If the computation of an interval takes no
less than a write, ``I u_f >= w``, the forward sweep never waits; if the reversal of a segment
takes no less than a read, neither does the reverse sweep.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, Discard, Offload, Prefetch, Store, Tier, Wait
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.revolve import Revolve, minimal_advances, reversal

__all__ = ["Asynchronous", "asynchronous_advances"]


class Asynchronous:
    """Offload the state at every interval's start while computing; prefetch it while reversing.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1. It need not be a multiple of `interval`.
    num_slots
        Snapshots that fit in memory besides the live state, those being written or read
        included. At least 2, unless `interval` covers the whole run: then it is as for `Revolve`.
        Slots that would never be taken are left out.
    interval
        Steps between two offloaded states, a multiple of `leaf_steps`.
    leaf_steps
        Steps that are recorded and pulled back together.
    staging
        The most slots that hold offloaded states during the forward sweep, at least 1. With
        more, the computation waits less for writes that take now more and now less time.

    Raises
    ------
    ScheduleError
        Too few slots, an interval off the leaf grid, or a number that is out of its range.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(
        self,
        num_steps: int,
        num_slots: int,
        interval: int,
        *,
        leaf_steps: int = 1,
        staging: int = 4,
    ) -> None:
        self._boundaries = _check(num_steps, num_slots, interval, leaf_steps)
        if index(staging) < 1:
            raise ScheduleError(f"staging is {staging}: a write is posted from at least one slot")
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        self.interval = index(interval)
        self.staging = index(staging)
        self._staged = min(self.staging, index(num_slots), self._boundaries)
        self.num_slots = min(index(num_slots), self._useful_slots())
        self.file_states = self._boundaries

    def __repr__(self) -> str:
        return (
            f"Asynchronous(num_steps={self.num_steps}, num_slots={self.num_slots}, "
            f"interval={self.interval}, leaf_steps={self.leaf_steps}, staging={self.staging})"
        )

    def __iter__(self) -> Iterator[Action]:
        if not self._boundaries:
            yield from Revolve(self.num_steps, self.num_slots, leaf_steps=self.leaf_steps)
            return
        # offloaded states in slots, the start of the present segment not among them
        resident: deque[int] = deque()
        yield from self._offload(resident)
        last = self._boundaries * self.interval
        segment = reversal(last, self.num_steps, self.num_slots - 1, self.leaf_steps, turn=True)
        yield from self._making_room(segment, resident, used=0)
        for start in range(last - self.interval, -1, -self.interval):
            yield from self._reverse_segment(start, resident)

    def _offload(self, resident: deque[int]) -> Iterator[Action]:
        """Sweep forward to the last boundary."""
        for start in range(0, self._boundaries * self.interval, self.interval):
            if len(resident) == self._staged:
                yield from _evict_oldest(resident)
            yield Store(start)
            yield Offload(start)
            resident.append(start)
            yield Advance(start, start + self.interval)

    def _reverse_segment(self, start: int, resident: deque[int]) -> Iterator[Action]:
        """Reverse the segment from a boundary, whose state is the newest of the resident ones."""
        resident.pop()
        yield Wait(start)
        yield Discard(start, Tier.FILE)
        if start and not resident:
            yield Prefetch(start - self.interval)
            resident.append(start - self.interval)
        slots = self.num_slots - (1 if start else 0)
        segment = reversal(start, start + self.interval, slots, self.leaf_steps, turn=False)
        if len(resident) > 1:
            segment = self._making_room(segment, resident, used=1)
        yield from segment

    def _making_room(
        self, segment: Iterable[Action], resident: deque[int], *, used: int
    ) -> Iterator[Action]:
        """Reverse a segment that uses so many slots; where it finds none free, evict.

        The newest resident state is never evicted, for the segment leaves it one slot.
        """
        for action in segment:
            if type(action) is Store:
                if used + len(resident) == self.num_slots:
                    yield from _evict_oldest(resident)
                used += 1
            elif type(action) is Discard:
                used -= 1
            yield action

    def _useful_slots(self) -> int:
        """Return how many slots would be taken if there were no end of them."""
        tail = self.num_steps - self._boundaries * self.interval
        at_turn = self._staged + num_leaves(tail, self.leaf_steps) - 1
        if not self._boundaries:
            return at_turn
        inside = max(1, self.interval // self.leaf_steps - 1)
        prefetched = 1 if self._boundaries > 1 else 0
        return max(at_turn, inside + max(self._staged - 1, prefetched))


def asynchronous_advances(
    num_steps: int, num_slots: int, interval: int, *, leaf_steps: int = 1
) -> int:
    """Return the steps that `Advance` actions of an `Asynchronous` take; exact, not played.

    Raises
    ------
    ScheduleError
        As `Asynchronous` does.
    """
    schedule = Asynchronous(num_steps, num_slots, interval, leaf_steps=leaf_steps)
    slots, leaf, boundaries = schedule.num_slots, schedule.leaf_steps, schedule.file_states
    offloading = boundaries * schedule.interval
    tail = num_leaves(schedule.num_steps - offloading, leaf)
    inside = schedule.interval // leaf
    if boundaries == 0:
        return leaf * minimal_advances(tail, slots)
    recomputed = minimal_advances(tail, slots - 1) + minimal_advances(inside, slots)
    if boundaries > 1:
        recomputed += (boundaries - 1) * minimal_advances(inside, slots - 1)
    return offloading + leaf * recomputed


def _evict_oldest(resident: deque[int]) -> Iterator[Action]:
    step = resident.popleft()
    yield Wait(step)
    yield Discard(step, Tier.MEMORY)


def _check(num_steps: int, num_slots: int, interval: int, leaf_steps: int) -> int:
    """Refuse what cannot be met; return how many boundaries are offloaded."""
    leaves = num_leaves(num_steps, leaf_steps)
    if index(interval) < 1 or interval % leaf_steps:
        raise ScheduleError(
            f"interval is {interval}: it must be a positive multiple of leaf_steps={leaf_steps}"
        )
    boundaries = (index(num_steps) - 1) // index(interval)
    segment_leaves = index(interval) // index(leaf_steps)
    if boundaries == 0:
        needed = min(1, leaves - 1)
    elif leaves == segment_leaves + 1:
        needed = 1
    else:
        needed = 2
    if index(num_slots) < needed:
        raise ScheduleError(
            f"num_slots is {num_slots}: {num_steps} steps with boundaries every {interval} take "
            f"at least {needed}, for a segment's start and for that of the segment before it"
        )
    return boundaries
