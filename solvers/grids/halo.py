"""Exchange of ghost cells between neighbouring ranks, and its transpose.

A padded array holds a rank's own cells with `width` ghost cells on every side. As a linear map on
all ranks' padded arrays, an exchange copies cells from their owners to ghosts; its transpose adds
ghosts to their owners and zeroes them. Both leave alone the ghosts outside the domain, which have
no owner.

Columns are exchanged before rows, and rows are exchanged with the ghosts just received, so that
corners need no messages of their own; the transpose works in the opposite order. Messages are
nonblocking, but received values are added in a fixed order: every run has the same bits.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from solvers.grids.grid import Grid

__all__ = ["Halo"]

Strip = tuple[slice, slice]
EVERYTHING = slice(None)


class Border(NamedTuple):
    """The border with one neighbouring rank."""

    rank: int
    inner: Strip
    """Own cells, which are ghosts on the other rank."""
    outer: Strip
    """Ghosts, which are the other rank's own cells."""
    sent: int
    """Tag of the messages sent over this border; each direction has its own."""
    received: int
    """Tag of the messages received over this border."""


class Halo:
    """Exchanges ghost cells among the ranks of a grid.

    Parameters
    ----------
    grid
        The grid, which determines the neighbours.
    width
        Number of ghost cells on every side.

    Raises
    ------
    ArgumentError
        A rank has fewer than `width` rows or columns; on all ranks.
    """

    def __init__(self, grid: Grid, width: int) -> None:
        if min(grid.smallest) < width and grid.ranks.size > 1:
            raise ArgumentError(
                f"with {grid.ranks.size} ranks, one has {grid.smallest[0]} rows and another "
                f"{grid.smallest[1]} columns of the {grid.shape} cells, but the stencil reaches "
                f"over {width}: use fewer ranks"
            )
        self.width = width
        self._mpi = grid.ranks.mpi
        low, high = slice(width, 2 * width), slice(-2 * width, -width)
        before, after = slice(0, width), slice(-width, None)
        columns = [(grid.west, low, before, 0, 1), (grid.east, high, after, 1, 0)]
        rows = [(grid.south, low, before, 2, 3), (grid.north, high, after, 3, 2)]
        self._columns = [
            Border(rank, (EVERYTHING, inner), (EVERYTHING, outer), sent, received)
            for rank, inner, outer, sent, received in columns
            if rank is not None
        ]
        self._rows = [
            Border(rank, (inner, EVERYTHING), (outer, EVERYTHING), sent, received)
            for rank, inner, outer, sent, received in rows
            if rank is not None
        ]

    def exchange(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Copy owners to the ghosts of padded arrays of one dtype. Collective."""
        for borders in (self._columns, self._rows):
            received = self._swap([(b, _packed(arrays, b.inner)) for b in borders])
            for border, strips in zip(borders, received, strict=True):
                for array, strip in zip(arrays, strips, strict=True):
                    array[border.outer] = strip

    def exchange_transposed(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Add the ghosts of padded arrays of one dtype to owners and zero them. Collective."""
        for borders in (self._rows, self._columns):
            received = self._swap([(b, _packed(arrays, b.outer)) for b in borders])
            for border, strips in zip(borders, received, strict=True):
                for array, strip in zip(arrays, strips, strict=True):
                    array[border.outer] = 0
                    array[border.inner] += strip

    def _swap(self, outgoing: list[tuple[Border, NDArray[Any]]]) -> list[NDArray[Any]]:
        """Send each packed strip over its border; return the strips received over them."""
        incoming = [np.empty_like(strips) for _, strips in outgoing]
        requests = [
            self._mpi.Irecv(strips, border.rank, border.received)
            for (border, _), strips in zip(outgoing, incoming, strict=True)
        ]
        requests += [
            self._mpi.Isend(strips, border.rank, border.sent) for border, strips in outgoing
        ]
        for request in requests:
            request.Wait()
        return incoming


def _packed(arrays: Sequence[NDArray[Any]], strip: Strip) -> NDArray[Any]:
    return np.stack([array[strip] for array in arrays])
