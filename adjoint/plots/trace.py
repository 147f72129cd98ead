"""The picture of a recorded run: for some ranks, step against time, transfers and waits."""

from matplotlib.figure import Figure

from adjoint.plots.canvas import ALL_BARS, add_legend, draw_timeline
from adjoint.reporting.trace_file import Trace
from adjoint.schedules.actions import Wait
from adjoint.units import format_count

__all__ = ["trace_figure"]

MAX_RANKS = 4
"""Panels of a figure: the first rank, and those that waited longest."""


def trace_figure(trace: Trace) -> Figure:
    """Return a figure with a panel for each rank, or for the first and the three that waited most.

    Takes a few seconds a million events.
    """
    chosen = _ranks_to_draw(trace)
    figure = Figure(figsize=(14, 1 + 4.5 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    for axes, rank in zip(panels, chosen, strict=True):
        timeline = trace.ranks[rank]
        draw_timeline(axes, timeline, span=(trace.since, trace.until))
        axes.set_title(f"rank {rank}")
    left_out = len(trace.ranks) - len(chosen)
    if left_out:
        figure.suptitle(f"{format_count(left_out, 'rank')} that waited less not shown")
    add_legend(panels[0], trace.ranks[chosen[0]], ALL_BARS)
    return figure


def _ranks_to_draw(trace: Trace) -> list[int]:
    first, *others = trace.ranks
    waited = {rank: trace.ranks[rank].select(Wait.__name__).seconds for rank in others}
    others.sort(key=lambda rank: -waited[rank])
    return [first, *sorted(others[: MAX_RANKS - 1])]
