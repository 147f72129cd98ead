"""Pictures of plans and schedules: time against memory, and what runs when.

`draw_plans` and `draw_schedule` draw on axes of yours; `draw_answer` makes the figure that
``adjoint plan --plot`` saves. No figure goes through pyplot: nothing is shown or left open.
"""

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from adjoint.errors import ArgumentError
from adjoint.planning.planner import Plan
from adjoint.plots.canvas import (
    ADVANCE,
    IN_FILE,
    IN_MEMORY,
    MOST_LINES,
    PULL_BACK,
    RASTER,
    READ,
    RECORD,
    WRITE,
    add_lines,
    blend,
    draw_track,
    save,
)
from adjoint.plots.raster import level_counts, line_counts, longest, thinned
from adjoint.reporting.plan_table import Answer, Question
from adjoint.schedules import Schedule
from adjoint.schedules.costs import Costs
from adjoint.simulation.timeline import SimulatedTimeline, short_enough
from adjoint.units import format_bytes, readable_unit

__all__ = ["draw_answer", "draw_plans", "draw_schedule"]

MOST_ACTIONS = 3_000_000
"""Longer schedules are not played to be drawn, but shorter ones of their kind."""

CROWDED_STEPS = 300
"""Of more steps than these, lines are thin."""

LONG = 0.03
"""In a raster, lines of this part of the width or the height are drawn as lines as well."""

MOST_LONG = 400
"""Unless there are more of them: then they would hide one another."""

BUDGETS = 12
"""Memory sizes that plans are drawn for, from the least there can be to keeping everything."""

HIGHEST_TIME = 30
"""In times the ideal; what takes longer is beyond the upper edge."""

FAMILY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

FAMILY_MARKERS = "osD^vPX<"

TRACK = 0.055
"""Height of the track of writes, and of that of reads, as a part of the steps'."""


def draw_answer(answer: Answer, path: str | os.PathLike[str]) -> None:
    """Save a figure of the plans over memory, and of the schedule of the chosen one.

    Its ending says in which format. A schedule of more than three million actions is drawn
    for a shorter run, and the title says so. Takes seconds, a long schedule up to half a minute.

    Raises
    ------
    ArgumentError
        The file cannot be written.
    """
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    draw_plans(left, answer.question)
    draw_schedule(right, answer.chosen.plan.schedule, answer.question.costs)
    save(figure, path)


# -- time against memory ----------------------------------------------------------------------


def draw_plans(axes: Axes, question: Question) -> None:
    """Draw the predicted time of the best plan of each family against the memory there is.

    A dozen sizes are planned for, from a single slot to every state; the size that is asked about
    is marked, and so is the plan taken there.

    Parameters
    ----------
    axes
        To draw on. Its labels, scales, title and legend are set.
    question
        The run, and what there is to reverse it with.
    """
    families: dict[str, list[tuple[int, float]]] = {}
    for memory in _memory_sizes(question):
        for plan in question.plans(memory)[1]:
            families.setdefault(plan.family, []).append((memory, plan.predicted_seconds))
    chosen, _others = question.plans(question.memory_bytes)
    slowest = max(seconds for points in families.values() for _, seconds in points)
    shown = max(HIGHEST_TIME * question.ideal_seconds, 1.5 * chosen.predicted_seconds)
    highest = min(slowest, shown)
    unit, size = readable_unit(question.ideal_seconds)
    for number, (family, points) in enumerate(sorted(families.items())):
        memory, seconds = np.array(points, float).T
        axes.plot(
            memory,
            seconds / size,
            color=FAMILY_COLOURS[number % len(FAMILY_COLOURS)],
            marker=FAMILY_MARKERS[number % len(FAMILY_MARKERS)],
            markersize=5,
            label=family,
        )
    ideal = question.ideal_seconds / size
    axes.axhline(ideal, color="0.4", linestyle="--", linewidth=1, label="every state kept")
    axes.axvline(question.memory_bytes, color="0.4", linestyle=":", linewidth=1.2)
    _mark_chosen(axes, question, chosen, size)
    axes.set_xscale("log", base=2)
    if highest > 4 * question.ideal_seconds:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0.9 * ideal if axes.get_yscale() == "log" else 0, 1.1 * highest / size)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_major_formatter(FuncFormatter(_size))
    axes.tick_params(axis="x", rotation=30)
    axes.set(xlabel="memory for snapshots and tapes", ylabel=f"predicted time, {unit}")
    axes.set_title(f"{question.num_steps:,} steps of {format_bytes(question.state_bytes)}")
    axes.grid(visible=True, color="0.92")
    axes.set_axisbelow(True)
    axes.legend(loc="upper right")


def _size(count: float, _position: int | None) -> str:
    return format_bytes(count).replace(".0", "")


def _mark_chosen(axes: Axes, question: Question, chosen: Plan, unit_seconds: float) -> None:
    axes.plot(
        question.memory_bytes,
        chosen.predicted_seconds / unit_seconds,
        marker="*",
        markersize=16,
        color="#F0E442",
        markeredgecolor="black",
        linestyle="none",
        zorder=5,
        label=f"taken at {format_bytes(question.memory_bytes)}",
    )


def _memory_sizes(question: Question) -> list[int]:
    """Return sizes in equal ratios, the one asked about among them."""
    least = question.least_bytes
    most = question.everything_bytes + (question.leaf_steps or 1) * question.tape_bytes
    ratio = (most / least) ** (1 / (BUDGETS - 1))
    between = {math.ceil(least * ratio**k) for k in range(BUDGETS - 1)}
    return sorted({*between, most, question.memory_bytes})


# -- a schedule over time ---------------------------------------------------------------------


def draw_schedule(axes: Axes, schedule: Schedule, costs: Costs) -> None:
    """Draw what a schedule does: step against time, with a track of the transfers below.

    Coloured lines are steps advanced, recorded and pulled back; level ones are snapshots, from when
    they are stored to when they are given up. Times are those of `adjoint.replay.price` within the
    schedule's own slots. Where there are very many lines the more of them, the darker.

    Parameters
    ----------
    axes
        To draw on. Its labels, limits, title and legend are set.
    schedule
        To draw. One of more than three million actions is shortened to the intervals nearest the
        end, or to so many leaves, and the title says so.
    costs
        In seconds.

    Raises
    ------
    ScheduleError
        The schedule does not know how many steps there are.
    ArgumentError
        The schedule is too long, and cannot be made for a shorter run; or nothing takes any time.
    """
    drawn = short_enough(schedule, MOST_ACTIONS)
    timeline = SimulatedTimeline(drawn, costs)
    if timeline.makespan == 0:
        raise ArgumentError(f"{costs} take no time: there is nothing to draw")
    unit, size = readable_unit(timeline.makespan)
    num_lines = len(timeline.advances) + len(timeline.in_memory) + len(timeline.in_file)
    if num_lines + len(timeline.records) > MOST_LINES:
        _draw_raster(axes, timeline, size)
    else:
        _draw_lines(axes, timeline, size)
    if timeline.writes or timeline.reads:
        _draw_tracks(axes, timeline, size)
    top = timeline.num_steps
    axes.set_xlim(0, timeline.makespan / size)
    lowest = -(2.6 * TRACK) * top if timeline.writes or timeline.reads else -0.01 * top
    axes.set_ylim(lowest, 1.01 * top)
    ticks = MaxNLocator(nbins=9, integer=True, steps=[1, 2, 5, 10]).tick_values(0, top)
    axes.set_yticks([tick for tick in ticks if 0 <= tick <= top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set(xlabel=f"time, {unit}", ylabel="step")
    axes.set_title(_title(schedule, drawn))
    axes.legend(handles=list(_legend(timeline)), loc="upper right", framealpha=0.95)


def _title(schedule: Schedule, drawn: Schedule) -> str:
    name = f"{type(schedule).__name__}, {schedule.num_slots:,} slots"
    if schedule.leaf_steps > 1:
        name += f", leaves of {schedule.leaf_steps:,}"
    if drawn is schedule:
        return f"{name}: {schedule.num_steps:,} steps"
    return f"{name}: shortened from {schedule.num_steps:,} to {drawn.num_steps:,} steps"


def _draw_lines(axes: Axes, timeline: SimulatedTimeline, unit_seconds: float) -> None:
    crowded = timeline.num_steps > CROWDED_STEPS
    kept, width = (0.5, 1.2) if crowded else (1.2, 2.0)
    for segments, colour, thickness in (
        (timeline.in_file, IN_FILE, 2 * kept),
        (timeline.in_memory, IN_MEMORY, kept),
        (timeline.advances, ADVANCE, width),
        (timeline.records, RECORD, width),
        (timeline.pull_backs, PULL_BACK, width),
    ):
        everything = np.ones(len(segments), bool)
        add_lines(axes, segments, everything, unit_seconds, color=colour, linewidth=thickness)


def _draw_raster(axes: Axes, timeline: SimulatedTimeline, unit_seconds: float) -> None:
    """Draw a raster of all lines, the longest of them as lines on top, and the front."""
    duration, height = timeline.makespan, float(timeline.num_steps)
    picture = np.ones((*RASTER, 3))
    layers = (
        (timeline.in_file, IN_FILE, level_counts, 0.5, 0.5),
        (timeline.in_memory, IN_MEMORY, level_counts, 0.6, 0.4),
        (timeline.advances, ADVANCE, line_counts, 1.0, 1.0),
        (timeline.records, RECORD, line_counts, 1.0, 1.0),
    )
    for segments, colour, counts, strongest, thickness in layers:
        blend(picture, counts(segments, duration, height, RASTER), colour, strongest)
        long = longest(segments, duration, height, LONG, MOST_LONG)
        add_lines(axes, segments, long, unit_seconds, color=colour, linewidth=thickness)
    axes.imshow(
        picture,
        origin="lower",
        extent=(0, duration / unit_seconds, 0, height),
        aspect="auto",
        interpolation="antialiased",
    )
    forward, reverse = timeline.advances, timeline.pull_backs
    swept = int(np.searchsorted(forward.ends, reverse.begins[0], side="right"))
    for segments, count, colour in ((forward, swept, ADVANCE), (reverse, len(reverse), PULL_BACK)):
        times = np.asarray(segments.ends)[:count]
        steps = np.asarray(segments.stops)[:count]
        times, steps = thinned(times, steps, duration, RASTER[1])
        axes.plot(times / unit_seconds, steps, color=colour, linewidth=1.5)


def _draw_tracks(axes: Axes, timeline: SimulatedTimeline, unit_seconds: float) -> None:
    top = timeline.num_steps
    rows = (("writes", timeline.writes, WRITE, 1.2), ("reads", timeline.reads, READ, 2.4))
    for name, intervals, colour, level in rows:
        place = (-level * TRACK * top, TRACK * top)
        draw_track(axes, name, intervals, colour, place, (timeline.makespan, unit_seconds))


def _legend(timeline: SimulatedTimeline) -> Iterator[Any]:
    yield Line2D([], [], color=ADVANCE, label="advance")
    yield Line2D([], [], color=RECORD, label="record")
    yield Line2D([], [], color=PULL_BACK, label="pull back")
    if len(timeline.in_memory):
        yield Line2D([], [], color=IN_MEMORY, linewidth=1.2, label="kept in memory")
    if len(timeline.in_file):
        yield Line2D([], [], color=IN_FILE, linewidth=2.4, label="kept in the file")
    if timeline.writes:
        yield Patch(color=WRITE, label="write")
    if timeline.reads:
        yield Patch(color=READ, label="read")
