"""Very many lines as one picture: how many of them pass through each pixel.

A figure with a path for each of a million actions takes minutes to draw, gigabytes of memory, and
is a vector file that no viewer opens. A raster of counts takes a fixed amount of memory however
many lines there are, and says more: where they are dense.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.simulation.timeline import Segments

__all__ = ["busy_shares", "level_counts", "line_counts", "longest", "thinned"]

SAMPLES = 1 << 21
"""Points that are worked on at once."""


def line_counts(
    segments: Segments, duration: float, height: float, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return how often lines pass each pixel; shape (rows, columns), row 0 at step 0.

    Parameters
    ----------
    segments
        The lines.
    duration, height
        The time and the step that the right and the upper edge stand for; the left and the lower
        edge are 0.
    shape
        Rows and columns.
    """
    rows, columns = shape
    counts = np.zeros(rows * columns, np.int64)
    x0 = _pixels(segments.begins, duration, columns)
    x1 = _pixels(segments.ends, duration, columns)
    y0 = _pixels(segments.starts, height, rows)
    y1 = _pixels(segments.stops, height, rows)
    points = np.maximum(np.abs(x1 - x0), np.abs(y1 - y0)).astype(np.int64) + 2
    upto = np.cumsum(points)
    first = 0
    while first < len(points):
        before = upto[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(upto, before + SAMPLES)))
        part = slice(first, last)
        repeated = np.repeat(np.arange(first, last), points[part])
        along = np.arange(len(repeated)) - (upto[repeated] - points[repeated] - before)
        share = along / (points[repeated] - 1)
        x = (x0[repeated] + share * (x1 - x0)[repeated]).astype(np.int64)
        y = (y0[repeated] + share * (y1 - y0)[repeated]).astype(np.int64)
        counts += np.bincount(y * columns + x, minlength=counts.size)
        first = last
    return counts.reshape(shape)


def level_counts(
    segments: Segments, duration: float, height: float, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the same for lines that are all level, whatever their length, in less time."""
    rows, columns = shape
    y = _pixels(segments.starts, height, rows).astype(np.int64) * (columns + 1)
    x0 = _pixels(segments.begins, duration, columns).astype(np.int64)
    x1 = _pixels(segments.ends, duration, columns).astype(np.int64)
    size = rows * (columns + 1)
    changes = np.bincount(y + x0, minlength=size) - np.bincount(y + x1 + 1, minlength=size)
    return np.cumsum(changes.reshape(rows, columns + 1), axis=1)[:, :columns]


def busy_shares(
    intervals: list[tuple[float, float]], duration: float, columns: int
) -> NDArray[np.float64]:
    """Return the share of each of so many equal parts of the time that intervals take up.

    The intervals do not overlap.
    """
    edges = np.linspace(0, duration, columns + 1)
    if not intervals:
        return np.zeros(columns)
    begins, ends = np.array(sorted(intervals)).T
    # Busy time up to each edge: it grows by one a second within an interval, else not at all.
    times = np.column_stack([begins, ends]).ravel()
    busy = np.column_stack([np.zeros_like(begins), ends - begins]).ravel().cumsum()
    return np.diff(np.interp(edges, times, busy)) * columns / duration


def thinned(
    times: NDArray[np.float64], steps: NDArray[np.int64], duration: float, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a line through so many points, in order of time, with a point for each column.

    The last of each of so many equal parts of the time.
    """
    column = _pixels(times, duration, columns).astype(np.int64)
    last = np.flatnonzero(np.diff(column, append=columns))
    return times[last], steps[last]


def longest(
    segments: Segments, duration: float, height: float, least: float, most: int
) -> NDArray[np.bool_]:
    """Return which lines span a part of the width or the height; none if more than `most` do."""
    spans = [
        np.abs(np.asarray(until, np.float64) - np.asarray(since, np.float64)) / whole
        for since, until, whole in (
            (segments.begins, segments.ends, duration),
            (segments.starts, segments.stops, height),
        )
    ]
    long = np.maximum(*spans) >= least
    return long if np.count_nonzero(long) <= most else np.zeros_like(long)


def _pixels(values: Any, whole: float, pixels: int) -> NDArray[np.float64]:
    """Return positions in pixels; the upper edge belongs to the last one."""
    scaled = np.asarray(values, np.float64) * (pixels / whole)
    return np.minimum(scaled, np.nextafter(pixels, 0.0))
