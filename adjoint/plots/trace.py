"""A picture of what a run did: for some ranks, step against time, and when the file was busy."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from adjoint.plots.canvas import (
    ADVANCE,
    MOST_LINES,
    PULL_BACK,
    RASTER,
    READ,
    RECORD,
    WAIT,
    WRITE,
    add_lines,
    blend,
    draw_track,
    save,
)
from adjoint.plots.raster import line_counts
from adjoint.reporting.trace_file import READING, WAITING, WRITING, RankTimeline, RecordedTimeline
from adjoint.units import readable_unit

__all__ = ["draw_rank", "draw_timeline"]

MOST_RANKS = 4
"""As many are drawn: the first, and those that waited longest."""

LINES = (("Advance", ADVANCE), ("Record", RECORD), ("PullBack", PULL_BACK))

TRACKS = (
    ("writes", WRITING, WRITE),
    ("reads", READING, READ),
    ("waits", WAITING, WAIT),
)

TRACK = 0.055
"""Height of a track, as a part of the steps'."""

FEW_LINES = 300
"""So many lines are drawn thick."""


def draw_timeline(timeline: RecordedTimeline, path: str | os.PathLike[str]) -> None:
    """Save a figure with a panel for each rank, or for four of them. Its ending says the format.

    Takes a few seconds a million events.

    Raises
    ------
    ArgumentError
        The file cannot be written.
    """
    chosen = _ranks_to_draw(timeline)
    figure = Figure(figsize=(14, 1 + 4.5 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, rank in zip(panels, chosen, strict=True):
        draw_rank(axes, rank, timeline.seconds, since=timeline.since)
    left_out = len(timeline.ranks) - len(chosen)
    if left_out:
        figure.suptitle(f"{left_out:,} ranks that waited less are left out")
    panels[0].legend(handles=list(_legend()), loc="upper right", framealpha=0.95)
    save(figure, path)


def draw_rank(axes: Axes, rank: RankTimeline, seconds: float, *, since: float = 0.0) -> None:
    """Draw one rank's steps against time, and below them its writes, reads and waits.

    Parameters
    ----------
    axes
        To draw on. Its labels, limits and title are set.
    rank
        Its events.
    seconds
        What the right edge stands for; the left one is the beginning of the events.
    since
        What the axis calls that beginning.
    """
    unit, size = readable_unit(since + seconds)
    lines = rank.which([name for name, _ in LINES])
    low, top = 0, 1
    if lines.any():
        low, top = int(rank.starts[lines].min()), int(rank.stops[lines].max())
    height = max(1, top - low)
    if np.count_nonzero(lines) > MOST_LINES:
        _draw_raster(axes, rank, (low, low + height), seconds, size)
    else:
        width = 2.0 if np.count_nonzero(lines) <= FEW_LINES else 1.0
        for name, colour in LINES:
            segments = rank.segments(name)
            every = np.ones(len(segments), bool)
            add_lines(axes, segments, every, size, color=colour, linewidth=width)
    for number, (title, name, colour) in enumerate(TRACKS, start=1):
        place = low - 1.25 * number * TRACK * height, TRACK * height
        busy = [(begins, ends) for begins, ends in rank.intervals([name]).tolist()]
        draw_track(axes, title, busy, colour, place, (seconds, size))
    axes.set_xlim(0, seconds / size)
    axes.set_ylim(low - (1.25 * len(TRACKS) + 0.25) * TRACK * height, low + 1.01 * height)
    ticks = MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]).tick_values(low, low + height)
    axes.set_yticks([tick for tick in ticks if low <= tick <= low + height])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value + since / size:.7g}"))
    axes.set(xlabel=f"time, {unit}", ylabel="step", title=f"rank {rank.rank}")


def _draw_raster(
    axes: Axes, rank: RankTimeline, steps: tuple[int, int], seconds: float, unit_seconds: float
) -> None:
    low, high = steps
    picture = np.ones((*RASTER, 3))
    for name, colour in LINES:
        segments = rank.segments(name, low)
        if len(segments):
            blend(picture, line_counts(segments, seconds, float(high - low), RASTER), colour, 1.0)
    axes.imshow(
        picture,
        origin="lower",
        extent=(0, seconds / unit_seconds, low, high),
        aspect="auto",
        interpolation="antialiased",
    )


def _ranks_to_draw(timeline: RecordedTimeline) -> list[RankTimeline]:
    first, *others = timeline.ranks
    others.sort(key=lambda rank: -rank.seconds(WAITING))
    return [first, *sorted(others[: MOST_RANKS - 1], key=lambda rank: rank.rank)]


def _legend() -> Iterator[Any]:
    for name, colour in (("advance", ADVANCE), ("record", RECORD), ("pull back", PULL_BACK)):
        yield Line2D([], [], color=colour, label=name)
    for name, colour in (("write", WRITE), ("read", READ), ("wait", WAIT)):
        yield Patch(color=colour, label=name)
