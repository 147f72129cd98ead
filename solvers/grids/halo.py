"""Ghost cells: copies of what neighbouring ranks own, and the transpose of copying.

A padded array is a rank's own cells with `width` ghost cells on every side. As a linear map of all
ranks' padded arrays, an exchange copies owners to ghosts; its transpose adds ghosts to their
owners and leaves the ghosts zero. Ghosts beyond the end of the domain are nobody's copies, and are
left alone by both.

Columns are exchanged before rows, whole rows with what just came, so that corners arrive without
messages of their own; the transpose goes the other way. Messages are nonblocking, and what they
bring is added in a fixed order: the same bits in every run.
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
    """One border with another rank."""

    rank: int
    inner: Strip
    """The own cells that the other rank has copies of."""
    outer: Strip
    """The copies of the other rank's."""
    sent: int
    """The tag of messages that go there; each direction has its own."""
    received: int


class Halo:
    """Exchanges ghost cells among the ranks of a grid.

    Parameters
    ----------
    grid
        Says who the neighbours are.
    width
        How many ghost cells there are on every side.

    Raises
    ------
    ArgumentError
        A rank has fewer cells across than `width`: on all ranks.
    """

    def __init__(self, grid: Grid, width: int) -> None:
        if min(grid.smallest) < width and grid.ranks.size > 1:
            raise ArgumentError(
                f"{grid.ranks.size} ranks leave one with {grid.smallest} rows and columns of "
                f"{grid.shape}, and the stencil reaches over {width}: use fewer ranks"
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
        """Fill the ghosts of padded arrays of one dtype from their owners. Collective."""
        for borders in (self._columns, self._rows):
            received = self._swap([(b, _packed(arrays, b.inner)) for b in borders])
            for border, strips in zip(borders, received, strict=True):
                for array, strip in zip(arrays, strips, strict=True):
                    array[border.outer] = strip

    def exchange_transposed(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Add the ghosts of padded arrays of one dtype to owners, leaving zeros. Collective."""
        for borders in (self._rows, self._columns):
            received = self._swap([(b, _packed(arrays, b.outer)) for b in borders])
            for border, strips in zip(borders, received, strict=True):
                for array, strip in zip(arrays, strips, strict=True):
                    array[border.outer] = 0
                    array[border.inner] += strip

    def _swap(self, outgoing: list[tuple[Border, NDArray[Any]]]) -> list[NDArray[Any]]:
        """Send each packed strip over its border; return what comes back over it."""
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
