"""Cells of a DMDA as NumPy arrays with ghost cells, and stencil matrices on them.

A DMDA's global vector holds the unknowns of the cells that this rank owns, cell by cell. Here they
are arrays with the axes ``[y, x, unknown]`` (in one dimension ``[x, unknown]``), without a copy; or
copies with one ghost cell on every side, after an exchange with neighbours. Ghosts beyond a side
that is not periodic are zero: the equation decides what they mean.

The sparsity of a stencil matrix never changes, so its rows and columns are computed once; only the
values are written again, all in one call.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.petsc.library import PETSc
from solvers.petsc.problem import Mat, Vec

__all__ = ["CellGrid", "Stencil"]

Array = NDArray[Any]


class CellGrid:
    """A DMDA of one or two dimensions with a ghost cell on every side.

    Parameters
    ----------
    shape
        Cells in ``y`` and ``x``, or in ``x`` alone.
    unknowns
        Unknowns per cell.
    periodic
        Whether all axes are periodic.
    comm
        A communicator of mpi4py or PETSc; None is one process.
    """

    def __init__(
        self, shape: Sequence[int], unknowns: int = 1, *, periodic: bool = False, comm: Any = None
    ) -> None:
        kind = PETSc.DM.BoundaryType.PERIODIC if periodic else PETSc.DM.BoundaryType.GHOSTED
        self.dm = PETSc.DMDA().create(
            tuple(reversed(shape)),  # pyright: ignore[reportArgumentType]
            dof=unknowns,
            boundary_type=(kind,) * len(shape),
            stencil_type=PETSc.DMDA.StencilType.STAR,  # pyright: ignore[reportArgumentType]
            stencil_width=1,
            comm=PETSc.COMM_SELF if comm is None else comm,
        )
        self.shape = tuple(shape)
        self.unknowns = unknowns
        starts, sizes = self.dm.getCorners()
        self.local_shape = (*reversed(sizes), unknowns)
        self.own = tuple(
            slice(start, start + size)
            for start, size in zip(starts[::-1], sizes[::-1], strict=True)
        )
        """This rank's cells in the whole grid, one slice per axis."""
        self._ghosted_shape = (*(size + 2 for size in reversed(sizes)), unknowns)

    @property
    def comm(self) -> Any:
        """The communicator, as PETSc's."""
        return self.dm.getComm()

    def vector(self) -> Vec:
        """Return a new global vector."""
        return self.dm.createGlobalVec()

    def own_array(self, vector: Vec) -> Array:
        """Return this rank's cells of a global vector as a writable view."""
        return vector.getArray().reshape(self.local_shape)

    def read(self, vector: Vec) -> Array:
        """Return this rank's cells of a global vector as a read-only view."""
        return vector.getArray(readonly=True).reshape(self.local_shape)

    def ghosted(self, vector: Vec) -> Array:
        """Return this rank's cells with ghosts, in a new array. Collective."""
        local = self.dm.getLocalVec()
        local.set(0.0)
        self.dm.globalToLocal(vector, local)
        cells = local.getArray(readonly=True).reshape(self._ghosted_shape).copy()
        self.dm.restoreLocalVec(local)
        return cells

    def ghosted_field(self, field: Array) -> Array:
        """Return a field of one value per cell with ghosts, in a new array. Collective.

        `field` has the shape `local_shape` without the axis of unknowns.
        """
        vector = self.dm.getGlobalVec()
        self.own_array(vector)[...] = field[..., None]
        cells = self.ghosted(vector)[..., 0]
        self.dm.restoreGlobalVec(vector)
        return cells

    def field_of(self, whole: Array) -> Array:
        """Return this rank's part of an array over all cells, copied to float64."""
        return np.array(np.asarray(whole)[self.own], dtype=float)


class Stencil:
    """The sparsity of a matrix on a `CellGrid`, and the writing of its entries.

    Parameters
    ----------
    grid
        The cells.
    couplings
        The entries of a cell's rows: (unknown of the row, offset of the column's cell along each
        axis, unknown of the column), ordered by the unknown of the row.
    """

    def __init__(
        self, grid: CellGrid, couplings: Sequence[tuple[int, tuple[int, ...], int]]
    ) -> None:
        self._grid = grid
        self._couplings = tuple(couplings)
        rows = [row for row, _, _ in self._couplings]
        self._counts = np.bincount(rows, minlength=grid.unknowns)
        numbers = self._numbers()
        own = tuple(size - 2 for size in numbers.shape[:-1])
        columns = [
            numbers[
                (*(slice(1 + at, 1 + at + n) for at, n in zip(offset, own, strict=True)), column)
            ]
            for _, offset, column in self._couplings
        ]
        flat = np.stack(columns, axis=-1).reshape(-1)
        self._present = flat >= 0
        counts = np.tile(self._counts, int(np.prod(own)))
        ends = np.cumsum(np.r_[0, self._present.astype(np.int64)])[np.r_[0, np.cumsum(counts)]]
        self._ends = ends.astype(PETSc.IntType)
        self._columns = flat[self._present].astype(PETSc.IntType)

    def matrix(self) -> Mat:
        """Return a new matrix, preallocated for the entries."""
        size = self._grid.vector().getSizes()
        matrix = PETSc.Mat().create(comm=self._grid.comm)
        matrix.setSizes((size, size), bsize=self._grid.unknowns)
        matrix.setType(PETSc.Mat.Type.AIJ)
        where: Any = (self._ends, self._columns)
        matrix.setPreallocationCSR(where)
        matrix.assemble()
        return matrix

    def fill(self, matrix: Mat, entries: Sequence[Array | float]) -> None:
        """Write the entries: for each coupling an array over this rank's cells, or a number.

        Collective. Entries whose column lies beyond a side are omitted.
        """
        cells = self._grid.local_shape[:-1]
        values = np.empty((*cells, len(self._couplings)))
        for index, entry in enumerate(entries):
            values[..., index] = entry
        kept = values.reshape(-1)[self._present]
        matrix.setValuesCSR(self._ends, self._columns, kept)
        matrix.assemble()

    def _numbers(self) -> Array:
        """Return PETSc's index of every unknown, with ghosts; -1 beyond a side."""
        vector = self._grid.vector()
        first, last = vector.getOwnershipRange()
        # Shifted by one, because ghosts beyond a side are zero.
        vector.getArray()[...] = np.arange(first, last) + 1
        return self._grid.ghosted(vector).astype(np.int64) - 1
