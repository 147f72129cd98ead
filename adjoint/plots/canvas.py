"""What all pictures share: a timeline drawn as lines and bars, thinned where it is crowded.

Colours are those of Okabe and Ito (2008), distinguishable with any common colour vision.

Thinning
--------
Matplotlib draws twenty thousand lines in a second or two; a schedule may have millions. So the
picture is divided into a grid of cells, and events of one name that begin in the same cell and end
in the same cell are drawn as one line, from the beginning of the earliest to the end of the latest.
The grid starts finer than the pixels and is coarsened until no more than `MAX_LINES` are left. So
every cell in which an event begins or ends keeps a line, and a line is off by less than a cell at
either end: no gap appears where there is none, and none larger than a cell is closed. Keeping every
k-th event instead would empty the calm parts of a picture whose events crowd elsewhere.
"""

import os
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.schedules.actions import Advance, PullBack, Record, Wait
from adjoint.simulation.timeline import (
    IN_FILE,
    IN_MEMORY,
    READ,
    WRITE,
    Floats,
    Timeline,
    time_covered,
)
from adjoint.units import readable_unit

__all__ = [
    "ALL_BARS",
    "add_legend",
    "check_picture_path",
    "draw_timeline",
    "save_figure",
    "thinned_bars",
    "thinned_lines",
]

MAX_LINES = 20_000
"""Lines of one name: with more, drawing takes longer than simulating the run."""

MAX_VECTOR_LINES = 2_000
"""More lines of one name are embedded as an image in a .pdf or .svg, at 150 bytes a line else."""

MAX_BARS = 1_000
"""Bars of one track: about one a pixel of the picture's width."""

FINEST_GRID = (2_800, 2_000)
"""Columns and rows of cells: half a pixel of a panel of 1,400 by 1,000 pixels."""

CROWDED_LINES = 300
"""With more advances, records and pull-backs together, lines are drawn thinner."""

TRACK_HEIGHT = 0.055
"""Of a track of bars, as a part of the height of the steps."""

TRACK_PITCH = 1.25
"""From one track to the next, in heights of a track."""

LIGHTEST = 0.3
"""Opacity of a bar that stands for events which hardly take any of its time."""


class LineStyle(NamedTuple):
    """How events of one name are drawn as lines of step against time."""

    event: str
    label: str
    colour: str
    width: float
    """In points."""
    crowded_width: float
    """In points, with more than `CROWDED_LINES` lines."""


class TrackStyle(NamedTuple):
    """How events of one name are drawn as bars below the steps."""

    event: str
    label: str
    title: str
    colour: str


COMPUTING = (
    LineStyle(Advance.__name__, "advance", "#0072B2", 2.0, 1.2),
    LineStyle(Record.__name__, "record", "#E69F00", 2.0, 1.2),
    LineStyle(PullBack.__name__, "pull back", "#009E73", 2.0, 1.2),
)

KEEPING = (
    LineStyle(IN_MEMORY, "kept in memory", "#8C8C8C", 1.2, 0.5),
    LineStyle(IN_FILE, "kept in the file", "#56B4E9", 2.4, 1.0),
)

TRACKS = (
    TrackStyle(WRITE, "write", "writes", "#D55E00"),
    TrackStyle(READ, "read", "reads", "#CC79A7"),
    TrackStyle(Wait.__name__, "wait", "waits", "#000000"),
)
"""From top to bottom."""

ALL_BARS = tuple(style.event for style in TRACKS)


def draw_timeline(
    axes: Axes,
    timeline: Timeline,
    *,
    seconds: float | None = None,
    since: float = 0.0,
    bars: Collection[str] = ALL_BARS,
) -> None:
    """Draw the step at which a run is against time, and bars for transfers and waits below.

    Lines are steps advanced, recorded and pulled back; level ones are snapshots, if the timeline
    has any. Of very many events a sample is drawn, and bars get paler the less of their time is
    taken.

    Parameters
    ----------
    axes
        To draw on. Its limits, ticks and labels are set, its title and legend are not.
    timeline
        Simulated, recorded or read from a file.
    seconds
        What the right edge stands for; by default the end of the last event.
    since
        The time that the left edge stands for; event times count from there.
    bars
        Names of the events that get a track of bars.
    """
    seconds = timeline.end if seconds is None else seconds
    unit, unit_seconds = readable_unit(since + seconds)
    computing = timeline.select(*(style.event for style in COMPUTING))
    low = int(computing.starts.min()) if len(computing) else 0
    height = max(1, int(computing.stops.max()) - low) if len(computing) else 1
    crowded = len(computing) > CROWDED_LINES
    for style in (*reversed(KEEPING), *COMPUTING):
        lines = thinned_lines(timeline.select(style.event), (seconds, low, height))
        lines[:, :, 0] /= unit_seconds
        axes.add_collection(
            LineCollection(
                list(lines),
                color=style.colour,
                linewidth=style.crowded_width if crowded else style.width,
                # Lines shorter than a pixel are visible by their caps alone.
                capstyle="round" if crowded else "butt",
                rasterized=len(lines) > MAX_VECTOR_LINES,
            )
        )
    tracks = [style for style in TRACKS if style.event in bars]
    for number, style in enumerate(tracks, start=1):
        bottom = low - TRACK_PITCH * number * TRACK_HEIGHT * height
        _draw_track(axes, timeline, style, (bottom, TRACK_HEIGHT * height), seconds, unit_seconds)
    below = (TRACK_PITCH * len(tracks) + 0.25) * TRACK_HEIGHT if tracks else 0.01
    axes.set(xlabel=f"time, {unit}", ylabel="step")
    axes.set_xlim(0, seconds / unit_seconds)
    axes.set_ylim(low - below * height, low + 1.01 * height)
    _set_ticks(axes, (low, low + height), since / unit_seconds)


def add_legend(axes: Axes, timeline: Timeline, bars: Collection[str]) -> None:
    """Add a legend for what `draw_timeline` draws."""
    styles = [*COMPUTING, *(style for style in KEEPING if len(timeline.select(style.event)))]
    lines = [Line2D([], [], color=s.colour, linewidth=s.width, label=s.label) for s in styles]
    patches = [
        Patch(color=track.colour, label=track.label) for track in TRACKS if track.event in bars
    ]
    axes.legend(handles=[*lines, *patches], loc="upper right", framealpha=0.95)


def thinned_lines(timeline: Timeline, extent: tuple[float, int, int]) -> Floats:
    """Return events as lines, no more than `MAX_LINES`: see the top of this file.

    Parameters
    ----------
    timeline
        Events of one name.
    extent
        Of the picture: its seconds, its lowest step and its height in steps.

    Returns
    -------
    lines
        Shape (count, 2, 2): for each line its beginning and its end, as seconds and step.
    """
    began: Floats = np.column_stack([timeline.begins, timeline.first_steps.astype(float)])
    ended: Floats = np.column_stack([timeline.ends, timeline.last_steps.astype(float)])
    grid = np.array(FINEST_GRID)
    chosen_first = chosen_last = np.arange(len(began))
    while len(chosen_first) > MAX_LINES:
        group = _cells(began, extent, grid) * int(grid.prod()) + _cells(ended, extent, grid)
        chosen_first = _first_of_each(group, began[:, 0])
        chosen_last = _first_of_each(group, -ended[:, 0])
        grid = np.maximum(1, grid // 2)
    return np.stack([began[chosen_first], ended[chosen_last]], axis=1)


def thinned_bars(intervals: Floats, seconds: float) -> tuple[Floats, Floats]:
    """Return bars for disjoint intervals, no more than `MAX_BARS`, and their opacities.

    Bars are the intervals themselves, or where there are too many, equal parts of the time, paler
    where less of it lies in an interval. Shapes (count, 2), begin and end in seconds, and (count,).
    """
    if len(intervals) <= MAX_BARS:
        return intervals, np.ones(len(intervals))
    edges = np.linspace(0, seconds, MAX_BARS + 1)
    shares = np.diff(time_covered(intervals, edges)) * MAX_BARS / seconds
    bars = np.column_stack([edges[:-1], edges[1:]])
    return bars[shares > 0], LIGHTEST + (1 - LIGHTEST) * shares[shares > 0]


def check_picture_path(path: str | os.PathLike[str]) -> None:
    """Raise if no figure can be saved there, as far as is known before it is drawn.

    Raises
    ------
    ArgumentError
        The ending is not that of a picture format, or the folder does not exist.
    """
    ending = os.path.splitext(path)[1].lower().lstrip(".")
    possible = Figure().canvas.get_supported_filetypes()
    if ending not in possible:
        raise ArgumentError(
            f"cannot draw to {os.fspath(path)!r}: its name must end in one of "
            + ", ".join(f".{name}" for name in sorted(possible))
        )
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise ArgumentError(f"cannot draw to {os.fspath(path)!r}: there is no folder {folder}")


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Save a figure in the format that the ending of the path names.

    Raises
    ------
    ArgumentError
        The file cannot be written.
    """
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise ArgumentError(f"cannot write the picture {os.fspath(path)!r}: {error}") from None


def _draw_track(
    axes: Axes,
    timeline: Timeline,
    style: TrackStyle,
    place: tuple[float, float],
    seconds: float,
    unit_seconds: float,
) -> None:
    """Draw bars in a track whose bottom and height are `place`, with its title to the left."""
    intervals = timeline.select(style.event).intervals()
    bars, opacities = thinned_bars(intervals, seconds)
    exact = bars is intervals
    axes.broken_barh(
        [(begin / unit_seconds, (end - begin) / unit_seconds) for begin, end in bars.tolist()],
        place,
        color=[to_rgba(style.colour, opacity) for opacity in opacities.tolist()],
        # Edges make the shortest bars visible; between bars side by side they would show as lines.
        linewidth=0.8 if exact else 0.0,
        antialiased=exact,
    )
    axes.annotate(
        style.title,
        (0, place[0] + place[1] / 2),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize="small",
        color=style.colour,
    )


def _set_ticks(axes: Axes, steps: tuple[int, int], since: float) -> None:
    """Set ticks at whole steps, none beside the tracks, and times that count from `since`."""
    locator = MaxNLocator(nbins=9, integer=True, steps=[1, 2, 5, 10])
    axes.set_yticks([tick for tick in locator.tick_values(*steps) if steps[0] <= tick <= steps[1]])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if since:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value + since:.7g}"))


def _cells(
    points: Floats, extent: tuple[float, int, int], grid: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the number of the cell in which each point lies; the far edges belong to the last."""
    seconds, low, height = extent
    scaled = (points - (0, low)) / (seconds or 1.0, height) * grid
    columns, rows = np.clip(scaled.astype(np.int64), 0, grid - 1).T
    return columns * int(grid[1]) + rows


def _first_of_each(group: NDArray[np.int64], key: Floats) -> NDArray[np.int64]:
    """Return the index of the element with the least key in each group, groups in order."""
    order = np.lexsort((key, group))
    ordered = group[order]
    return order[np.append(True, ordered[1:] != ordered[:-1])]
