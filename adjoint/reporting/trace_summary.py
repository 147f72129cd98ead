"""What a run spent its time on: the text that ``adjoint trace`` prints."""

from collections import defaultdict

import numpy as np

from adjoint.printable import printable
from adjoint.reporting.columns import aligned
from adjoint.reporting.trace_file import Trace
from adjoint.schedules.actions import Advance, PullBack, Record, Turn, Wait
from adjoint.simulation.timeline import READ, WRITE, Timeline, Track, time_covered
from adjoint.units import format_count, format_seconds

__all__ = ["summarise"]

COMPUTING = tuple(action.__name__ for action in (Advance, Record, Turn, PullBack))
"""Actions that compute; a transfer beside them is hidden."""

WAITING = Wait.__name__

MAX_KINDS = 48
"""Kinds of actions that get a line of their own: a run has a dozen."""

MAX_NAME = 40
"""Characters of the name of a kind."""

MAX_RANKS = 16
"""Ranks that get a line of their own."""


def summarise(trace: Trace) -> str:
    """Return the time that each kind of action took, and for each rank how its transfers went."""
    events = sum(map(len, trace.ranks.values()))
    part = format_seconds(trace.seconds)
    if trace.since:
        part += f" from {format_seconds(trace.since)} on"
    ranks = format_count(len(trace.ranks), "rank")
    lines = [
        f"{printable(trace.path)}: {ranks}, {part}, {format_count(events, 'event')}",
        "",
        *_table(trace),
    ]
    lines.append("")
    lines += [_of_rank(rank, own) for rank, own in list(trace.ranks.items())[:MAX_RANKS]]
    if len(trace.ranks) > MAX_RANKS:
        lines.append(f"and {format_count(len(trace.ranks) - MAX_RANKS, 'more rank')}")
    return "\n".join(lines)


def _table(trace: Trace) -> list[str]:
    """Return a row for each kind of action, the longest first; times are means over ranks."""
    ranks = [own.select_track(Track.COMPUTATION) for own in trace.ranks.values()]
    taken: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for own in ranks:
        counts = np.bincount(own.kind, minlength=len(own.kinds)).tolist()
        times = np.bincount(own.kind, own.ends - own.begins, len(own.kinds)).tolist()
        for (name, _), count, seconds in zip(own.kinds, counts, times, strict=True):
            if count:
                taken[name].append((count, seconds))
    ordered = sorted(taken, key=lambda name: -sum(seconds for _, seconds in taken[name]))
    rows: list[tuple[str, ...]] = []
    for name in ordered[:MAX_KINDS]:
        counts, times = zip(*taken[name], strict=True)
        absent = [0.0] * (1 if len(times) < len(ranks) else 0)
        rows.append(_cells(name, f"{max(counts):,}", [*times, *absent], len(ranks), trace.seconds))
    between = [max(0.0, trace.seconds - own.seconds) for own in ranks]
    rows.append(_cells("between", "", between, len(ranks), trace.seconds))
    headings = ("action", "count", "time", "share", "min", "max")
    columns = 6 if len(ranks) > 1 else 4
    lines = aligned([headings[:columns], *(row[:columns] for row in rows)], left={0})
    if len(ordered) > MAX_KINDS:
        lines.append(f"and {format_count(len(ordered) - MAX_KINDS, 'more kind')} of actions")
    return lines


def _cells(
    name: str, count: str, seconds: list[float], num_ranks: int, duration: float
) -> tuple[str, ...]:
    mean = sum(seconds) / num_ranks
    return (
        printable(name, MAX_NAME),
        count,
        format_seconds(mean),
        f"{mean / duration if duration else 0:.1%}",
        format_seconds(min(seconds)),
        format_seconds(max(seconds)),
    )


def _of_rank(rank: int, timeline: Timeline) -> str:
    """Return how long transfers were under way and what part was hidden, and the waits."""
    writes, reads = timeline.select(WRITE), timeline.select(READ)
    moving = timeline.select(WRITE, READ).intervals()
    if len(moving):
        under_way = float((moving[:, 1] - moving[:, 0]).sum())
        computing = timeline.select(*COMPUTING).intervals()
        hidden = time_covered(moving, computing[:, 1]) - time_covered(moving, computing[:, 0])
        share = float(hidden.sum()) / under_way if under_way else 1.0
        transfers = (
            f"{format_count(len(writes), 'write')} and {format_count(len(reads), 'read')} were "
            f"under way for {format_seconds(under_way)}, {share:.1%} of it while steps ran"
        )
    else:
        transfers = "no transfers"
    return f"rank {rank}: {transfers}; {_waits(timeline.select(WAITING))}."


def _waits(waits: Timeline) -> str:
    if not len(waits):
        return "the computation never waited"
    lengths = waits.ends - waits.begins
    longest = int(lengths.argmax())
    return (
        f"the computation waited for {format_seconds(waits.seconds)} in "
        f"{format_count(len(waits), 'wait')}, the longest {format_seconds(float(lengths.max()))}, "
        f"for state {waits.starts[longest]:,} at {format_seconds(float(waits.begins[longest]))}"
    )
