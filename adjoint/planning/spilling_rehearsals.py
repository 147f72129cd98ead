"""What a spilling stack takes: rehearsed, and of a long run only its end.

The schedule's own virtual clock plays a short run as a whole. Of a longer one it plays the last
segments, a *window*. Once the states that are in slots at the turn are used up, every further
segment takes the same time, and so the rest of the run follows. The work does not grow with the
number of steps.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import ceil, gcd, inf

from adjoint.schedules import Spilling, num_leaves
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.spilling.rehearsal import Rehearsal
from adjoint.schedules.spilling.segments import LeafCosts, SegmentCosts
from adjoint.schedules.spilling.spacing import GRID

__all__ = ["WHOLE_LEAVES", "Estimate", "rehearse"]

WHOLE_LEAVES = 3_000
"""Runs of up to this many leaves are rehearsed as a whole. For them, more may be sent to the file
than it can take, with slots to hold the rest: the end of the run would not show that."""

MIN_WINDOW_LEAVES = 1_000
MIN_SEGMENTS = 12
"""A window has at least this many leaves, and segments besides the tail."""

MAX_WINDOW_LEAVES = 10_000
"""Leaves of a window at the most, some 20 milliseconds. Segments of more than 800 leaves are too
few in it to show that their time has settled."""

MAX_UNREST = 0.2
"""Relative error of an estimate where the window cannot show whether segments have settled."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What playing a schedule takes."""

    seconds: float
    """Infinite if the rehearsal was broken off."""
    relative_error: float
    """Share by which it may be off; 0 where all of it was rehearsed."""
    actions: int
    """Actions of the rehearsal, at one to three microseconds each."""


def rehearse(
    schedule: Spilling, tapes: TapeTable | None = None, *, max_actions: float = inf
) -> Estimate:
    """Return what a schedule of known length takes; break off after `max_actions` actions.

    `tapes`, if given, is looked up instead of the schedule's own table.
    """
    assert schedule.num_steps is not None
    schedule.share_tapes(tapes)
    whole = num_leaves(schedule.num_steps, schedule.leaf_steps)
    leaves, is_long_enough = _window_leaves(schedule, whole)
    window = schedule
    if leaves < whole:
        window = replace(schedule, num_steps=leaves * schedule.leaf_steps)
        window.share_tapes(schedule.tapes)
    marks = _marks(schedule, leaves) if leaves < whole else ()
    rehearsal = Rehearsal(window)
    if not rehearsal.run(marks, max_actions=max_actions):
        return Estimate(inf, 0.0, rehearsal.actions)
    if leaves == whole:
        return Estimate(rehearsal.seconds, 0.0, rehearsal.actions)
    seconds = _extended(schedule, rehearsal, marks, leaves, whole)
    unrest = _unrest(rehearsal.at, marks) if is_long_enough else MAX_UNREST
    return Estimate(seconds, unrest, rehearsal.actions)


def _window_leaves(schedule: Spilling, whole: int) -> tuple[int, bool]:
    """Return how many leaves to rehearse, of `whole`, and whether that shows what segments take."""
    plan = schedule.forward_plan(whole, schedule.pitch)
    if plan.spaced.count < 3:
        return whole, True
    pitch = plan.spaced.pitch
    each = ceil(pitch / GRID)
    segments = max(MIN_SEGMENTS, 2 * _period(pitch) + 3)
    costs = SegmentCosts(LeafCosts.of(schedule.costs, schedule.leaf_steps), schedule.tapes)
    if schedule.costs.read > costs.seconds_and_split(each, schedule.num_slots, True)[0]:
        # Reads are late from the turn on: the states still in slots at the turn are used up before
        # the time of a segment settles.
        segments += schedule.num_slots
    tail = whole - plan.tail[0][0] if plan.tail else 0
    needed = max(tail + segments * each, MIN_WINDOW_LEAVES)
    if whole <= max(WHOLE_LEAVES, min(needed, MAX_WINDOW_LEAVES)):
        return whole, True
    if needed <= MAX_WINDOW_LEAVES:
        return needed, True
    return min(whole, max(MAX_WINDOW_LEAVES, tail + MIN_SEGMENTS * each)), False


def _extended(
    schedule: Spilling, rehearsal: Rehearsal, marks: Collection[int], leaves: int, whole: int
) -> float:
    """Return the seconds of the whole run: no less than its writes and then its reads take."""
    plan, costs = schedule.forward_plan(whole, schedule.pitch), schedule.costs
    moved = max(0, plan.file_states - schedule.num_slots)
    forward = max(rehearsal.turned_at * whole / leaves, moved * costs.write)
    reverse = rehearsal.seconds - rehearsal.turned_at
    reverse += (whole - leaves) * _slope(rehearsal.at, min(marks), max(marks))
    return forward + max(reverse, moved * costs.read)


def _marks(schedule: Spilling, leaves: int) -> tuple[int, int, int]:
    """Return three states in the file near the start of a window, whole periods apart."""
    spaced = schedule.forward_plan(leaves, schedule.pitch).spaced
    period = _period(spaced.pitch)
    span = max(1, spaced.count // (4 * period)) * period
    low, middle, high = (spaced.leaf(min(spaced.count - 1, 1 + k * span)) for k in range(3))
    return low, middle, high


def _unrest(at: Mapping[int, float], marks: Collection[int]) -> float:
    """Return the share by which the times a leaf between the marks differ."""
    low, middle, high = marks
    if not low < middle < high:
        return MAX_UNREST
    below, above = _slope(at, low, middle), _slope(at, middle, high)
    return abs(above - below) / max(above, below)


def _slope(at: Mapping[int, float], low: int, high: int) -> float:
    """Return the seconds a leaf between two marks."""
    return (at[low] - at[high]) / (high - low)


def _period(pitch: int) -> int:
    """Return after how many states in the file the distances between them repeat."""
    return GRID // gcd(pitch, GRID)
