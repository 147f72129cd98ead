"""What pictures of plans and of runs are made of: lines over time, rasters of them, and tracks.

The colours are those of Okabe and Ito (2008), which can be told apart whatever one's eyes.
"""

import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.plots.raster import busy_shares
from adjoint.simulation.timeline import Segments

__all__ = [
    "ADVANCE",
    "IN_FILE",
    "IN_MEMORY",
    "MOST_LINES",
    "PULL_BACK",
    "RASTER",
    "READ",
    "RECORD",
    "WAIT",
    "WRITE",
    "add_lines",
    "blend",
    "draw_track",
    "require_drawable",
    "save",
]

ADVANCE, RECORD, PULL_BACK = "#0072B2", "#E69F00", "#009E73"

IN_MEMORY, IN_FILE = "#8C8C8C", "#56B4E9"

WRITE, READ, WAIT = "#D55E00", "#CC79A7", "#000000"

MOST_LINES = 20_000
"""More lines than these are drawn as a raster."""

MOST_BARS = 1_000
"""More bars than these are drawn as shares of the time."""

RASTER = (700, 1000)
"""Its rows and columns."""


def add_lines(
    axes: Axes, segments: Segments, which: NDArray[np.bool_], unit_seconds: float, **style: Any
) -> None:
    """Draw some of the lines; times are divided by the unit, `style` is matplotlib's."""
    begins, ends, starts, stops = (
        np.asarray(values, float)[which]
        for values in (segments.begins, segments.ends, segments.starts, segments.stops)
    )
    began = np.column_stack([begins / unit_seconds, starts])
    ended = np.column_stack([ends / unit_seconds, stops])
    axes.add_collection(LineCollection(list(np.stack([began, ended], axis=1)), **style))


def blend(
    picture: NDArray[np.float64], counts: NDArray[np.int64], colour: str, strongest: float
) -> None:
    """Lay a colour over a picture: the more lines there are in a pixel, the more of it."""
    if not counts.any():
        return
    many = np.quantile(counts[counts > 0], 0.95)
    opacity = np.where(counts > 0, 0.3 + 0.7 * np.minimum(1, counts / many), 0) * strongest
    picture += opacity[:, :, np.newaxis] * (np.array(to_rgb(colour)) - picture)


def draw_track(
    axes: Axes,
    name: str,
    intervals: list[tuple[float, float]],
    colour: str,
    place: tuple[float, float],
    times: tuple[float, float],
) -> None:
    """Draw when something goes on: bars, or darker where more of the time is taken.

    Parameters
    ----------
    axes
        To draw on.
    name
        Of the track, to its left.
    intervals
        Beginning and end of each, in seconds; they do not overlap.
    colour
        Of the bars.
    place
        Where the track is, and how high it is, in units of the vertical axis.
    times
        The seconds that the right edge stands for, and those of the unit of the time axis.
    """
    (bottom, height), (duration, unit_seconds) = place, times
    if len(intervals) > MOST_BARS:
        shares = busy_shares(intervals, duration, RASTER[1])
        row = np.ones((1, RASTER[1], 3))
        shares = np.where(shares > 0, 0.3 + 0.7 * shares, 0)
        row += shares[np.newaxis, :, np.newaxis] * (np.array(to_rgb(colour)) - row)
        axes.imshow(
            row,
            origin="lower",
            extent=(0, duration / unit_seconds, bottom, bottom + height),
            aspect="auto",
            interpolation="antialiased",
        )
    else:
        bars = [(b / unit_seconds, (e - b) / unit_seconds) for b, e in intervals]
        axes.broken_barh(bars, (bottom, height), color=colour, linewidth=0.8)
    axes.annotate(
        name,
        (0, bottom + height / 2),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize="small",
        color=colour,
    )


def require_drawable(path: str | os.PathLike[str]) -> None:
    """Raise if no figure can be saved there, as far as that can be told before it is drawn.

    Raises
    ------
    ArgumentError
        The ending is not that of a format that figures can be saved in, or there is no such folder.
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


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Save a figure in the format that its file's ending says.

    Raises
    ------
    ArgumentError
        The file cannot be written.
    """
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise ArgumentError(f"cannot write the picture {os.fspath(path)!r}: {error}") from None
