"""What a spilling stack takes: rehearsed, and of a long run only the last segments.

The schedule's own virtual clock plays a short run as a whole. Of a longer one it plays the end: a
*window*, from which the rest follows, if the time that a segment takes no longer changes. That is
checked, and where it does change the result is doubted. So the work does not grow with the number
of steps.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import ceil, gcd
from typing import NamedTuple

from adjoint.schedules import Spilling, num_leaves
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.spilling.rehearsal import Rehearsal
from adjoint.schedules.spilling.segments import SegmentCosts
from adjoint.schedules.spilling.spacing import GRID
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["MAX_ERROR", "MAX_WINDOW_LEAVES", "SHORT_LEAVES", "Rehearsals", "TooManyActionsError"]

MAX_WINDOW_ACTIONS = 2_500
"""Actions of one window, at one to three microseconds each: it is made as long as they allow."""

MAX_WINDOW_LEAVES = 10_000
"""Leaves of one window at the most: enough for `MIN_SEGMENTS` of 1,250 leaves."""

MIN_SEGMENTS = 8
"""Segments, besides the tail, of the shortest window that is believed: fewer hardly show whether
the time of a segment still changes."""

SHORT_LEAVES = 3_000
"""Runs of up to this many leaves are rehearsed as a whole. For them, more may be sent to the file
than it can take, with slots to hold the rest: the end of the run would not show that."""

MIN_ERROR = 0.002
"""Relative error allowed for where the window is settled. Over 10,000 random runs predictions were
off by 0.005 % on average, some by more."""

MAX_ERROR = 0.2
"""Relative error allowed for where the window does not bear out the extrapolation."""


class TooManyActionsError(Exception):
    """A rehearsal takes more actions than are left."""


class Estimate(NamedTuple):
    """What a schedule takes."""

    seconds: float
    relative_error: float
    """Share by which it may take longer; 0 where all of it was rehearsed."""


class Rehearsals:
    """Rehearses spilling stacks, within a number of actions.

    Parameters
    ----------
    segments
        What reversing segments takes.
    max_actions
        Actions of all rehearsals together; any single one may have `MAX_WINDOW_ACTIONS`.
    """

    def __init__(self, segments: SegmentCosts, max_actions: int) -> None:
        self.actions_left = max_actions
        self._segments = segments

    def estimate(
        self, schedule: Spilling, tapes: TapeTable | None = None, timing: TimedTable | None = None
    ) -> Estimate:
        """Return what a schedule takes. Tables that are given are looked up instead of its own.

        Raises
        ------
        TooManyActionsError
            It takes more actions than are left.
        """

        def play(leaves: int, marks: Collection[int] = ()) -> Rehearsal:
            steps = schedule.num_steps if leaves == whole else leaves * schedule.leaf_steps
            end_of_run = replace(schedule, num_steps=steps)
            end_of_run.share_tables(tapes, timing)
            return self._played(Rehearsal(end_of_run), marks)

        def play_window(leaves: int) -> "_Window":
            marks = _marks(schedule, leaves)
            return _Window(leaves, marks, play(leaves, marks))

        assert schedule.num_steps is not None
        whole = num_leaves(schedule.num_steps, schedule.leaf_steps)
        plan = schedule.forward_plan(whole, schedule.pitch)
        tail = whole - plan.tail[0][0] if plan.tail else 0
        each = ceil(plan.spaced.pitch / GRID)
        segments, is_enough = self._needed_segments(schedule, plan.spaced.pitch)
        if whole <= SHORT_LEAVES or tail + segments * each >= whole:
            return Estimate(play(whole).seconds, 0.0)
        window = play_window(tail + segments * each)
        affordable = segments * MAX_WINDOW_ACTIONS // window.rehearsal.actions
        if affordable > segments:
            leaves = tail + affordable * each
            if leaves >= whole:
                return Estimate(play(whole).seconds, 0.0)
            window = play_window(leaves)
        costs, moved = schedule.costs, max(0, plan.file_states - schedule.num_slots)
        seconds = window.extended(whole, moved * costs.write, moved * costs.read)
        return Estimate(seconds, max(MIN_ERROR, window.unrest) if is_enough else MAX_ERROR)

    def _played(self, rehearsal: Rehearsal, marks: Collection[int]) -> Rehearsal:
        done = rehearsal.run(marks, max_actions=max(self.actions_left, MAX_WINDOW_ACTIONS))
        self.actions_left -= rehearsal.actions
        if not done:
            raise TooManyActionsError
        return rehearsal

    def _needed_segments(self, schedule: Spilling, pitch: int) -> tuple[int, bool]:
        """Return the segments to rehearse, and whether they suffice to be believed."""
        each = ceil(pitch / GRID)
        needed = max(MIN_SEGMENTS, 2 * _period(pitch) + 3)
        alone, _ = self._segments.seconds_and_split(each, schedule.num_slots, True)
        if schedule.costs.read > alone:
            # Reads are late from the turn on: the states still in slots at the turn are used up
            # before the time of a segment settles.
            needed += schedule.num_slots
        if needed * each <= MAX_WINDOW_LEAVES:
            return needed, True
        return MIN_SEGMENTS, needed == MIN_SEGMENTS


@dataclass(frozen=True, slots=True)
class _Window:
    """The last leaves of a run, rehearsed, with three leaves at which the time was noted.

    Below the highest nothing changes any more: if so, both stretches between them are as quick.
    """

    leaves: int
    marks: tuple[int, int, int]
    rehearsal: Rehearsal

    def extended(self, leaves: int, written: float, read: float) -> float:
        """Return what a run of `leaves` takes: no less than its writes and then its reads take."""
        rehearsal = self.rehearsal
        forward = max(rehearsal.turned_at * leaves / self.leaves, written)
        reverse = rehearsal.seconds - rehearsal.turned_at
        reverse += (leaves - self.leaves) * self._slope(self.marks[0], self.marks[2])
        return forward + max(reverse, read)

    @property
    def unrest(self) -> float:
        """The share by which the two stretches differ."""
        low, middle, high = self.marks
        if not low < middle < high:
            return MAX_ERROR
        below, above = self._slope(low, middle), self._slope(middle, high)
        return abs(above - below) / max(above, below)

    def _slope(self, low: int, high: int) -> float:
        """Return the seconds a leaf between two marks."""
        at = self.rehearsal.at
        return (at[low] - at[high]) / (high - low)


def _marks(schedule: Spilling, leaves: int) -> tuple[int, int, int]:
    """Return three states in the file near the start of a window, whole periods apart."""
    spaced = schedule.forward_plan(leaves, schedule.pitch).spaced
    period = _period(spaced.pitch)
    span = max(1, spaced.count // (4 * period)) * period
    low, middle, high = (spaced.leaf(min(spaced.count - 1, 1 + k * span)) for k in range(3))
    return low, middle, high


def _period(pitch: int) -> int:
    """Return after how many states in the file the distances between them repeat."""
    return GRID // gcd(pitch, GRID)
