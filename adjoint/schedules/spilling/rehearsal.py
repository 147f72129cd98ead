"""What a spilling schedule will take, without giving its actions one by one.

Where nothing can happen until a segment is reversed, because no read is due and no state in memory
is also in the file, the time that it takes is known. A rehearsal passes over such segments, and
over nothing else, so it takes the same decisions as the schedule itself, many times as quickly
where the file is slow.
"""

from collections.abc import Collection
from math import inf

from adjoint.schedules.spilling.parameters import SpillingParameters
from adjoint.schedules.spilling.reverse import ReverseSweep
from adjoint.schedules.spilling.stream import SpillingStream

__all__ = ["Rehearsal"]


class Rehearsal:
    """Plays a schedule of known length on its virtual clock."""

    def __init__(self, schedule: SpillingParameters) -> None:
        self.actions = 0
        """Actions that were given: they measure what the rehearsal itself takes."""
        self.at: dict[int, float] = {}
        """When the adjoint was at the leaves asked for."""
        self._stream = SpillingStream(schedule, pass_over=_known_seconds)

    @property
    def seconds(self) -> float:
        """What has been played so far takes."""
        return self._stream.seconds

    @property
    def turned_at(self) -> float:
        """When the turn was."""
        return self._stream.reversal.turned_at

    def run(self, marks: Collection[int] = (), *, max_actions: float = inf) -> bool:
        """Play to the end, noting when the adjoint is at, or first passes, each leaf of `marks`.

        Return False if it was broken off because there are more than `max_actions` actions.
        """
        reversal, coming = self._stream.reversal, sorted(marks)
        for _ in self._stream:
            self.actions += 1
            if self.actions > max_actions:
                return False
            while coming and reversal.has_turned and reversal.end <= coming[-1]:
                self.at[coming.pop()] = self.seconds
        return True


def _known_seconds(sweep: ReverseSweep, live: int) -> float | None:
    """Return the seconds to reverse all right of a leaf if nothing happens meanwhile, else None."""
    books, segments = sweep.books, sweep.segments
    if not sweep.has_turned:
        return None
    top = books.kept[-1]
    stored = top.leaf == live
    left, slots = sweep.end - live, books.free - books.reserved + stored
    if (stored and top.in_file) or not segments.is_exact(left):
        return None
    scarce = slots < (left - 1) * max(1, books.tape_slots)
    if scarce and (books.clean or books.writing or books.reserved):
        return None  # more slots may come, and when is not known
    seconds, _ = segments.seconds_and_split(left, slots, False)
    leaf = segments.leaf.record + segments.leaf.pull_back
    return None if seconds == inf or _is_read_due(sweep, live, seconds + leaf) else seconds


def _is_read_due(sweep: ReverseSweep, live: int, within: float) -> bool:
    """Return whether a read is due in less than `within` seconds."""
    until_top, until_below, _ = sweep.outlook(live, sweep.books.kept[-1])
    return sweep.forecast.until_due(until_top, until_below) < within
