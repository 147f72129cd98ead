"""A rectangle of cells, cut into smaller rectangles, one for each rank.

Fields are indexed ``[row, column]``: rows go north (y), columns east (x). Every rank has at least
one row and one column; how they are dealt out depends on the shape and the number of ranks alone,
and is the same on all of them.
"""

from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.parallel import communicator

__all__ = ["Grid"]

TAG = 71


class Grid:
    """The cells of a domain, and which of them are this rank's. Making one is collective.

    Parameters
    ----------
    shape
        Rows and columns of the whole domain.
    spacing
        Distance between neighbouring rows and columns, in metres.
    comm
        An mpi4py communicator, or None for one process. A duplicate of it is used; `free`, or
        leaving the grid as a context manager, gives it back.

    Raises
    ------
    ArgumentError
        The domain is empty, a spacing is not positive, or there are more ranks than can have
        cells: on all ranks.

    Attributes
    ----------
    ranks
        The communicator; `Communicator.agree` lets ranks fail together.
    rows, columns
        This rank's part of the domain, as slices.
    west, east, south, north
        The neighbouring ranks; None where the domain ends.
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
        """The fewest rows, and the fewest columns, that any rank has."""
        return (self.shape[0] // self._blocks[0], self.shape[1] // self._blocks[1])

    @property
    def own(self) -> tuple[slice, slice]:
        """Rows and columns of this rank's part of the domain, as slices."""
        return self.rows, self.columns

    def scatter(self, field: NDArray[Any] | None) -> NDArray[Any]:
        """Return this rank's part of a field that rank 0 has; the others give None. Collective.

        The part is a fresh C-contiguous array of `local_shape`.

        Raises
        ------
        ArgumentError
            The field does not have the shape of the domain: on all ranks.
        """
        error = None
        if self.ranks.rank == 0 and (field is None or field.shape != self.shape):
            found = None if field is None else field.shape
            error = ArgumentError(f"scatter needs a field of {self.shape} on rank 0, not {found}")
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
        """Return on rank 0 the field that all ranks' parts make up; None elsewhere. Collective.

        Raises
        ------
        ArgumentError
            A part does not have its rank's `local_shape`: on all ranks.
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
        """Give back the duplicate communicator. Collective."""
        self.ranks.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A rank that fails alone must not wait for the others here.
        if error is None:
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
    """Return how many blocks high and wide to cut a domain: the fewest cells at borders."""
    choices = [
        ((high - 1) * shape[1] + (size // high - 1) * shape[0], -high)
        for high in range(1, size + 1)
        if size % high == 0 and high <= shape[0] and size // high <= shape[1]
    ]
    if not choices:
        raise ArgumentError(
            f"{size} ranks cannot share {shape[0]} x {shape[1]} cells as rectangles: use fewer"
        )
    high = -min(choices)[1]
    return high, size // high


def _share(cells: int, parts: int, index: int) -> slice:
    return slice(cells * index // parts, cells * (index + 1) // parts)
