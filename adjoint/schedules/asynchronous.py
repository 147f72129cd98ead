"""Write every I-th state to the file in the background; between them, Revolve in memory.

Kukreja, Hückelheim and Gorman (2018, arXiv:1806.01117). *Forward*, the state at each boundary
``0, I, 2I, …`` is stored in a slot and its write is posted; the computation continues meanwhile.
Several slots may stage writes at once. Only when all of these are taken, or no slot is free, the
oldest write is waited for and its slot discarded. *Reverse*, the segments between boundaries are
reversed one by one, last first, each by Revolve with its start kept in a slot. Meanwhile the start
of the segment before it is read in the background, into a slot kept free for it.

So a segment may use all slots but one; only the first segment of the run, which has none before
it, may use them all. Three things are not in the paper, and cost nothing:

- the state at the last boundary is needed first, so it stays in memory and is never written;
- a state whose slot was not needed between its write and its use is not read again, so the state
  at the boundary before the last one never leaves memory;
- a run of a single segment is plain Revolve.

The overhead does not grow with the number of steps. If computing an interval takes at least as
long as a write, ``I u_f >= w``, the forward sweep never waits; if reversing a segment takes at
least as long as a read, neither does the reverse sweep.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, Discard, Offload, Prefetch, Store, Tier, Wait
from adjoint.schedules.periodic import segments
from adjoint.schedules.protocol import describe_members, set_fields
from adjoint.schedules.revolve import Revolve, reversal

__all__ = ["Asynchronous"]


@dataclass(frozen=True)
class Asynchronous:
    """Offload the state at every interval's start while computing; prefetch it while reversing.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1. It need not be a multiple of `interval`.
    num_slots
        Snapshots that fit in memory besides the live state, including those being written or
        read. At least 2, unless `interval` covers the whole run: then as for `Revolve`. More slots
        than can be used are left out.
    interval
        Steps between two offloaded states, a multiple of `leaf_steps`.
    leaf_steps
        Steps that are recorded and pulled back together.
    staging
        The most slots that hold offloaded states during the forward sweep, at least 1. With
        more of them, the computation waits less where write times vary.

    Raises
    ------
    ScheduleError
        There are too few slots, the interval is no multiple of `leaf_steps`, or a number is out of
        range.
    """

    num_steps: int
    num_slots: int
    interval: int
    _: KW_ONLY
    leaf_steps: int = 1
    staging: int = 4

    num_tapes = 1
    tape_slots = 0

    def __post_init__(self) -> None:
        boundaries, tail = segments(self.num_steps, self.interval, self.leaf_steps)
        inside = index(self.interval) // index(self.leaf_steps)
        _require_slots(self, boundaries, tail)
        if index(self.staging) < 1:
            raise ScheduleError(
                f"staging is {self.staging}: a write is posted from at least one slot"
            )
        staged = min(index(self.staging), index(self.num_slots), boundaries)
        useful = staged + tail - 1
        if boundaries:
            prefetched = 1 if boundaries > 1 else 0
            useful = max(useful, max(1, inside - 1) + max(staged - 1, prefetched))
        num_slots = min(index(self.num_slots), useful)
        set_fields(self, "num_steps", "interval", "leaf_steps", "staging", num_slots=num_slots)

    def __str__(self) -> str:
        return describe_members(self, self.interval)

    @property
    def file_states(self) -> int:
        return (self.num_steps - 1) // self.interval

    def __iter__(self) -> Iterator[Action]:
        if not self.file_states:
            yield from Revolve(self.num_steps, self.num_slots, leaf_steps=self.leaf_steps)
            return
        # steps of offloaded states in slots, except the start of the present segment
        resident: deque[int] = deque()
        last = self.file_states * self.interval
        yield from self._offload(last, resident)
        segment = reversal(last, self.num_steps, self.num_slots - 1, self.leaf_steps, turn=True)
        yield from self._making_room(segment, resident, used=0)
        for start in range(last - self.interval, -1, -self.interval):
            yield from self._reverse_segment(start, resident)

    def _offload(self, last: int, resident: deque[int]) -> Iterator[Action]:
        """Sweep forward to the last boundary."""
        staged = min(self.staging, self.num_slots)
        for start in range(0, last, self.interval):
            if len(resident) == staged:
                yield from _evict_oldest(resident)
            yield Store(start)
            yield Offload(start)
            resident.append(start)
            yield Advance(start, start + self.interval)

    def _reverse_segment(self, start: int, resident: deque[int]) -> Iterator[Action]:
        """Reverse the segment from a boundary, whose state is the newest resident one."""
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
        """Reverse a segment, evicting resident states where it finds no slot free.

        `used` slots are taken by the segment already. The newest resident state is never evicted,
        since the segment leaves one slot to it.
        """
        for action in segment:
            if type(action) is Store:
                if used + len(resident) == self.num_slots:
                    yield from _evict_oldest(resident)
                used += 1
            elif type(action) is Discard:
                used -= 1
            yield action


def _evict_oldest(resident: deque[int]) -> Iterator[Action]:
    step = resident.popleft()
    yield Wait(step)
    yield Discard(step, Tier.MEMORY)


def _require_slots(schedule: Asynchronous, boundaries: int, tail: int) -> None:
    """Raise `ScheduleError` if the schedule has too few slots."""
    needed = min(2 if boundaries else 1, boundaries + tail - 1)
    if index(schedule.num_slots) < needed:
        raise ScheduleError(
            f"num_slots is {schedule.num_slots}: {schedule.num_steps} steps with boundaries every "
            f"{schedule.interval} take at least {needed}, for the start of a segment and that of "
            "the segment before it"
        )
