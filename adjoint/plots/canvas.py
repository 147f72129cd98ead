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
from dataclasses import replace
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

MIN_BAR = 1 / 800
"""Width of the shortest bar, as a part of the span: about one and a half pixels."""

TRACK_HEIGHT = 0.055
"""Of a track of bars, as a part of the height of the steps."""

TRACK_PITCH = 1.25
"""From one track to the next, in heights of a track."""

LIGHTEST = 0.3
"""Opacity of a bar that stands for events which hardly take any of its time."""


class Style(NamedTuple):
    """How events of one name are drawn."""

    event: str
    label: str
    colour: str
    width: float = 0.0
    """Of lines, in points."""
    crowded_width: float = 0.0
    """The same with more than `CROWDED_LINES` lines."""


COMPUTING = (
    Style(Advance.__name__, "advance", "#0072B2", 2.0, 1.2),
    Style(Record.__name__, "record", "#E69F00", 2.0, 1.2),
    Style(PullBack.__name__, "pull back", "#009E73", 2.0, 1.2),
)

KEEPING = (
    Style(IN_MEMORY, "kept in memory", "#8C8C8C", 1.2, 0.5),
    Style(IN_FILE, "kept in the file", "#56B4E9", 2.4, 1.0),
)

TRACKS = (
    Style(WRITE, "write", "#D55E00"),
    Style(READ, "read", "#CC79A7"),
    Style(Wait.__name__, "wait", "#000000"),
)
"""From top to bottom."""

ALL_BARS = tuple(style.event for style in TRACKS)

Extent = tuple[float, float, float, float]
"""Times at the left and the right edge, steps at the lower and the upper edge."""


def draw_timeline(
    axes: Axes,
    timeline: Timeline,
    *,
    span: tuple[float, float] | None = None,
    bars: Collection[str] = ALL_BARS,
) -> None:
    """Draw the step at which a run is against time, and bars for transfers and waits below.

    Lines are steps advanced, recorded and pulled back; level ones are snapshots, if the timeline
    has any. Very many events are thinned, and a bar is paler where less of its time is taken.

    Parameters
    ----------
    axes
        To draw on. Its limits, ticks and labels are set, its title and legend are not.
    timeline
        Simulated, recorded or read from a file.
    span
        Seconds at the left and the right edge; by default from 0 to the end of the last event.
    bars
        Names of the events that get a track of bars.
    """
    since, until = (0.0, timeline.end) if span is None else span
    unit, size = readable_unit(until)
    timeline = replace(timeline, begins=timeline.begins / size, ends=timeline.ends / size)
    computing = timeline.select(*(style.event for style in COMPUTING))
    low = int(computing.starts.min()) if len(computing) else 0
    high = max(low + 1, int(computing.stops.max())) if len(computing) else 1
    extent = since / size, until / size, low, high
    for style in (*reversed(KEEPING), *COMPUTING):
        width = style.width if len(computing) <= CROWDED_LINES else style.crowded_width
        _draw_lines(axes, thinned_lines(timeline.select(style.event), extent), style.colour, width)
    track = TRACK_HEIGHT * (high - low)
    bottom = low
    for style in (style for style in TRACKS if style.event in bars):
        bottom -= TRACK_PITCH * track
        intervals = timeline.select(style.event).intervals()
        _draw_track(axes, style, *thinned_bars(intervals, extent[:2]), (bottom, track))
    axes.set(xlabel=f"time, {unit}", ylabel="step", xlim=extent[:2])
    axes.set_ylim(bottom - 0.2 * track, high + 0.2 * track)
    ticks = MaxNLocator(nbins=9, integer=True, steps=[1, 2, 5, 10]).tick_values(low, high)
    axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def add_legend(axes: Axes, timeline: Timeline, bars: Collection[str]) -> None:
    """Add a legend for what `draw_timeline` draws."""
    lines = [*COMPUTING, *(style for style in KEEPING if len(timeline.select(style.event)))]
    handles = [Line2D([], [], color=s.colour, linewidth=s.width, label=s.label) for s in lines]
    tracks = [style for style in TRACKS if style.event in bars]
    patches = [Patch(color=style.colour, label=style.label) for style in tracks]
    axes.legend(handles=[*handles, *patches], loc="upper right", framealpha=0.95)


def thinned_lines(timeline: Timeline, extent: Extent) -> Floats:
    """Return events of one name as lines, no more than `MAX_LINES`: see the top of this file.

    Shape (count, 2, 2): for each line its beginning and its end, as time and step.
    """
    began: Floats = np.column_stack([timeline.begins, timeline.first_steps.astype(float)])
    ended: Floats = np.column_stack([timeline.ends, timeline.last_steps.astype(float)])
    grid = np.array(FINEST_GRID)
    earliest = latest = np.arange(len(began))
    while len(earliest) > MAX_LINES:
        group = _cells(began, extent, grid) * int(grid.prod()) + _cells(ended, extent, grid)
        earliest = _least_of_each(group, began[:, 0])
        latest = _least_of_each(group, -ended[:, 0])
        grid = np.maximum(1, grid // 2)
    return np.stack([began[earliest], ended[latest]], axis=1)


def thinned_bars(intervals: Floats, span: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return bars for disjoint intervals, no more than `MAX_BARS`, and their opacities.

    Bars are the intervals, the shortest widened to `MIN_BAR` but by no more than half of the gap
    that follows; or if there are too many, equal parts of the span, the paler the less of them lies
    in an interval. Shapes (count, 2), begin and end, and (count,).
    """
    if len(intervals) <= MAX_BARS:
        begins, ends = intervals.T
        gaps = np.append(begins[1:], np.inf) - ends if len(ends) else ends
        visible = np.minimum(begins + MIN_BAR * (span[1] - span[0]), ends + gaps / 2)
        return np.column_stack([begins, np.maximum(ends, visible)]), np.ones(len(ends))
    edges = np.linspace(*span, MAX_BARS + 1)
    shares = np.diff(time_covered(intervals, edges)) / np.diff(edges)
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


def _draw_lines(axes: Axes, lines: Floats, colour: str, width: float) -> None:
    # Lines shorter than a pixel are visible by their caps alone; long ones need none.
    caps = "round" if len(lines) > CROWDED_LINES else "butt"
    drawn = LineCollection(list(lines), color=colour, linewidth=width, capstyle=caps)
    drawn.set_rasterized(len(lines) > MAX_VECTOR_LINES)
    axes.add_collection(drawn)


def _draw_track(
    axes: Axes, style: Style, bars: Floats, opacities: Floats, place: tuple[float, float]
) -> None:
    """Draw bars in a track whose bottom and height are `place`, with its title to the left."""
    axes.broken_barh(
        [(begin, end - begin) for begin, end in bars.tolist()],
        place,
        color=[to_rgba(style.colour, opacity) for opacity in opacities.tolist()],
        linewidth=0,
        # Smoothed edges of pale bars side by side would show as lines.
        antialiased=bool((opacities == 1).all()),
    )
    axes.annotate(
        f"{style.label}s",
        (0, place[0] + place[1] / 2),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize="small",
        color=style.colour,
    )


def _cells(points: Floats, extent: Extent, grid: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the cell in which each point lies; the far edges belong to the last."""
    left, right, bottom, top = extent
    scaled = (points - (left, bottom)) / (right - left or 1.0, top - bottom) * grid
    columns, rows = np.clip(scaled.astype(np.int64), 0, grid - 1).T
    return columns * int(grid[1]) + rows


def _least_of_each(group: NDArray[np.int64], key: Floats) -> NDArray[np.int64]:
    """Return the index of the element with the least key in each group, groups in order."""
    order = np.lexsort((key, group))
    ordered = group[order]
    return order[np.append(True, ordered[1:] != ordered[:-1])]
