"""The picture of a schedule: step against time, with the snapshots it keeps."""

from matplotlib.axes import Axes

from adjoint.errors import ArgumentError
from adjoint.plots.canvas import add_legend, draw_timeline
from adjoint.schedules import Schedule, describe
from adjoint.schedules.costs import Costs
from adjoint.simulation.shortened import shortened
from adjoint.simulation.simulated_timeline import simulate
from adjoint.simulation.timeline import READ, WRITE

__all__ = ["draw_schedule"]

MAX_ACTIONS = 3_000_000
"""A longer schedule is drawn for a shorter run: simulating this one takes ten seconds."""


def draw_schedule(axes: Axes, schedule: Schedule, costs: Costs) -> None:
    """Draw what a schedule does: step against time, with bars for its transfers below.

    Coloured lines are steps advanced, recorded and pulled back; level ones are snapshots, from when
    they are stored to when they are discarded. Times are those of `adjoint.replay.price` within the
    schedule's own slots.

    Parameters
    ----------
    axes
        To draw on. Its labels, limits, title and legend are set.
    schedule
        To draw. One of more than three million actions is drawn for a shorter run, a dozen
        intervals or 2,000 leaves long, and the title says so.
    costs
        In seconds.

    Raises
    ------
    ScheduleError
        The schedule does not know its number of steps.
    ArgumentError
        The schedule is too long and cannot be made for a shorter run, or nothing takes any time.
    """
    drawn = shortened(schedule, MAX_ACTIONS)
    timeline = simulate(drawn, costs)
    if timeline.end == 0:
        raise ArgumentError(f"{costs} take no time: there is nothing to draw")
    bars = (WRITE, READ) if len(timeline.select(WRITE)) else ()
    draw_timeline(axes, timeline, bars=bars)
    axes.set_title(_title(schedule, drawn))
    add_legend(axes, timeline, bars)


def _title(schedule: Schedule, drawn: Schedule) -> str:
    name = describe(schedule)
    if drawn is schedule:
        return f"{name}: {schedule.num_steps:,} steps"
    return f"{name}: shortened from {schedule.num_steps:,} to {drawn.num_steps:,} steps"
