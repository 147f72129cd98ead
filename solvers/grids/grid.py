"""A rectangular grid of cells, divided into one rectangle per rank.

Fields are indexed ``[row, column]``: rows go north (y), columns east (x). Every rank has at least
one row and one column. The division depends only on the shape and the number of ranks.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.parallel import communicator

__all__ = ["Grid"]

TAG = 71
"""Tag of the messages that scatter and gather fields."""


class Grid:
    """The cells of a domain, distributed over ranks. Construction is collective.

    Parameters
    ----------
    shape
        Rows and columns of the whole domain.
    spacing
        Distance between neighbouring rows and between neighbouring columns, in metres.
    comm
        An mpi4py communicator, or None for one process. The grid uses a duplicate, which `free`
        or leaving the grid as a context manager releases.

    Raises
    ------
    ArgumentError
        The domain is empty, a spacing is not positive, or the cells cannot be divided among this
        many ranks; on all ranks.

    Attributes
    ----------
    ranks
        The communicator, an `adjoint.parallel.Communicator`.
    rows, columns
        This rank's part of the domain, as slices.
    west, east, south, north
        The neighbouring ranks; None at the sides of the domain.
    """

    def __init__(
        self, shape: tuple[int, int], spacing: tuple[float, float], comm: Any = None
    ) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.spacing = (float(spacing[0]), float(spacing[1]))
        self.ranks = communicator(comm)
        self._mpi: Any = self.ranks.mpi
        try:
            self._check()
            self._blocks = _blocks(self.shape, self.ranks.size)
        except ArgumentError:
            self.ranks.free()
            raise
        self._place(self.ranks.rank)

    @property
    def local_shape(self) -> tuple[int, int]:
        """Rows and columns of this rank's part."""
        return (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)

    @property
    def smallest(self) -> tuple[int, int]:
        """The smallest number of rows, and of columns, that any rank has."""
        return (self.shape[0] // self._blocks[0], self.shape[1] // self._blocks[1])

    @property
    def own(self) -> tuple[slice, slice]:
        """Rows and columns of this rank's part of the domain, as slices."""
        return self.rows, self.columns

    def scatter(self, field: NDArray[Any] | None) -> NDArray[Any]:
        """Return this rank's part of a field on rank 0; other ranks pass None. Collective.

        The part is a new C-contiguous array of `local_shape`.

        Raises
        ------
        ArgumentError
            The field does not have the shape of the domain; on all ranks.
        """
        error = None
        if self.ranks.rank == 0 and (field is None or field.shape != self.shape):
            given = "None" if field is None else f"one of shape {field.shape}"
            error = ArgumentError(
                f"scatter needs a field of shape {self.shape} on rank 0, not {given}"
            )
        self.ranks.agree(error)
        dtype = self.ranks.gather(None if field is None else field.dtype)[0]
        if field is None or self.ranks.rank != 0:
            part = np.empty(self.local_shape, dtype)
            self._mpi.Recv(part, 0, TAG)
            return part
        for rank in range(1, self.ranks.size):
            self._mpi.Send(np.ascontiguousarray(field[self._part(rank)]), rank, TAG)
        return np.array(field[self._part(0)], order="C")

    def gather(self, part: NDArray[Any]) -> NDArray[Any] | None:
        """Return the whole field on rank 0, from every rank's part; None elsewhere. Collective.

        Raises
        ------
        ArgumentError
            A part does not have its rank's `local_shape`; on all ranks.
        """
        error = None
        if part.shape != self.local_shape:
            error = ArgumentError(
                f"gather needs a part of shape {self.local_shape} on rank {self.ranks.rank}, "
                f"not {part.shape}"
            )
        self.ranks.agree(error)
        if self.ranks.rank != 0:
            self._mpi.Send(np.ascontiguousarray(part), 0, TAG)
            return None
        field = np.empty(self.shape, part.dtype)
        field[self._part(0)] = part
        for rank in range(1, self.ranks.size):
            place = self._part(rank)
            received = np.empty_like(field[place], order="C")
            self._mpi.Recv(received, rank, TAG)
            field[place] = received
        return field

    def free(self) -> None:
        """Free the duplicate communicator. Collective."""
        self.ranks.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        # Freeing is collective: a rank that fails alone would wait here for the others.
        if kind is None:
            self.free()

    def _check(self) -> None:
        if min(self.shape) < 1:
            raise ArgumentError(f"the domain is empty: its shape is {self.shape}")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise ArgumentError(f"spacing must be positive and finite, not {self.spacing}")

    def _place(self, rank: int) -> None:
        self.rows, self.columns = self._part(rank)
        high, wide = self._blocks
        row, column = divmod(rank, wide)
        self.west = rank - 1 if column > 0 else None
        self.east = rank + 1 if column + 1 < wide else None
        self.south = rank - wide if row > 0 else None
        self.north = rank + wide if row + 1 < high else None

    def _part(self, rank: int) -> tuple[slice, slice]:
        row, column = divmod(rank, self._blocks[1])
        return (
            _share(self.shape[0], self._blocks[0], row),
            _share(self.shape[1], self._blocks[1], column),
        )


def _blocks(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Return the number of blocks in each direction that has the fewest cells at borders."""
    choices = [
        ((high - 1) * shape[1] + (size // high - 1) * shape[0], -high)
        for high in range(1, size + 1)
        if size % high == 0 and high <= shape[0] and size // high <= shape[1]
    ]
    if not choices:
        raise ArgumentError(
            f"{size} ranks cannot share {shape[0]} x {shape[1]} cells as rectangles: use fewer "
            "ranks, or another number of them"
        )
    high = -min(choices)[1]
    return high, size // high


def _share(cells: int, parts: int, index: int) -> slice:
    return slice(cells * index // parts, cells * (index + 1) // parts)
