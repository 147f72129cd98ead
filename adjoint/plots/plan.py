"""The picture of a plan: predicted time against memory, and the chosen schedule over time."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from adjoint.plots.schedule import draw_schedule
from adjoint.reporting.plan_table import PlanRequest, PlanTable
from adjoint.units import format_bytes, readable_unit

__all__ = ["draw_plans", "plan_figure"]

NUM_BUDGETS = 12
"""Memory sizes planned for, from the least that suffices to enough for every state."""

MAX_TIMES_IDEAL = 30
"""The upper edge of the picture, in ideal times; slower plans lie beyond it."""

FAMILY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

FAMILY_MARKERS = "osD^vPX<"


def plan_figure(table: PlanTable) -> Figure:
    """Return a figure of the plans over memory, beside the schedule of the chosen one over time.

    A schedule of more than three million actions is drawn for a shorter run, and the title says so.
    Takes seconds, for a long schedule up to half a minute.
    """
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    draw_plans(left, table.request)
    draw_schedule(right, table.chosen.plan.schedule, table.request.costs)
    return figure


def draw_plans(axes: Axes, request: PlanRequest) -> None:
    """Draw the predicted time of the best plan of each family against the memory available.

    Plans a dozen sizes, from a single slot to every state. The size asked about is marked, and so
    is the plan chosen there.

    Parameters
    ----------
    axes
        To draw on. Its labels, scales, title and legend are set.
    request
        The run, and the memory and disk available to reverse it.
    """
    plans = {memory: request.plans(memory) for memory in _memory_sizes(request)}
    chosen = plans[request.memory_bytes][0].predicted_seconds
    families: dict[str, list[tuple[int, float]]] = {}
    for memory, (_, best) in plans.items():
        for plan in best:
            families.setdefault(plan.family, []).append((memory, plan.predicted_seconds))
    unit, unit_seconds = readable_unit(request.ideal_seconds)
    for number, (family, points) in enumerate(sorted(families.items())):
        memory, seconds = np.array(points, float).T
        axes.plot(
            memory,
            seconds / unit_seconds,
            color=FAMILY_COLOURS[number % len(FAMILY_COLOURS)],
            marker=FAMILY_MARKERS[number % len(FAMILY_MARKERS)],
            markersize=5,
            label=family,
        )
    ideal = request.ideal_seconds / unit_seconds
    axes.axhline(ideal, color="0.4", linestyle="--", linewidth=1, label="every state kept")
    axes.axvline(request.memory_bytes, color="0.4", linestyle=":", linewidth=1.2)
    _mark_chosen(axes, request.memory_bytes, chosen / unit_seconds)
    slowest = max(seconds for points in families.values() for _, seconds in points)
    shown = max(MAX_TIMES_IDEAL * request.ideal_seconds, 1.5 * chosen)
    _set_scales(axes, ideal, min(slowest, shown) / unit_seconds)
    axes.set(xlabel="memory for snapshots and tapes", ylabel=f"predicted time, {unit}")
    axes.set_title(f"{request.num_steps:,} steps of {format_bytes(request.state_bytes)}")
    axes.legend(loc="upper right")


def _mark_chosen(axes: Axes, memory_bytes: int, time: float) -> None:
    axes.plot(
        memory_bytes,
        time,
        marker="*",
        markersize=16,
        color="#F0E442",
        markeredgecolor="black",
        linestyle="none",
        zorder=5,
        label=f"chosen at {format_bytes(memory_bytes)}",
    )


def _set_scales(axes: Axes, ideal: float, highest: float) -> None:
    """Set scales, limits and ticks; the times are in the unit of the axis."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: format_bytes(v).replace(".0", "")))
    axes.tick_params(axis="x", rotation=30)
    if highest > 4 * ideal:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0.9 * ideal, 1.1 * highest)
    else:
        axes.set_ylim(0, 1.1 * highest)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
    axes.grid(visible=True, color="0.92")
    axes.set_axisbelow(True)


def _memory_sizes(request: PlanRequest) -> list[int]:
    """Return sizes in equal ratios, and the size asked about among them."""
    least = max(request.min_bytes, request.state_bytes)  # a single step needs no memory
    most = request.everything_bytes + (request.leaf_steps or 1) * request.step_tape_bytes
    ratio = (most / least) ** (1 / (NUM_BUDGETS - 1))
    between = {math.ceil(least * ratio**k) for k in range(NUM_BUDGETS - 1)}
    return sorted({*between, most, request.memory_bytes})
