"""Arrays of degrees of freedom: those that a rank owns, and its copies of others, the ghosts.

The array of a Function has the owned dofs first and the ghosts after them. States, adjoints and
tapes are arrays of owned dofs.
"""

from typing import Any

import numpy as np
from dolfinx import fem, la
from numpy.typing import NDArray
from petsc4py import PETSc

from solvers.petsc.vectors import Window

__all__ = ["Array", "Summed", "array_of", "load", "owned", "owned_size", "window_for"]

Array = NDArray[np.float64]


def owned_size(space: Any) -> int:
    """Return the number of dofs of a function space that this rank owns."""
    dofmap = space.dofmap
    return dofmap.index_map.size_local * dofmap.index_map_bs


def array_of(holder: Any) -> Array:
    """Return the memory of a Function, ghosts included, or of a Constant."""
    return holder.x.array if hasattr(holder, "x") else holder.value


def owned(holder: Any) -> Array:
    """Return the memory of a Function's owned dofs, or of a Constant."""
    array = array_of(holder)
    return array[: owned_size(holder.function_space)] if hasattr(holder, "x") else array


def load(function: Any, dofs: Array) -> None:
    """Set a Function: its owned dofs, and its ghosts. Collective."""
    function.x.array[: dofs.size] = dofs
    function.x.scatter_forward()


def window_for(space: Any) -> Window:
    """Return a window of PETSc on arrays of owned dofs."""
    index_map, block = space.dofmap.index_map, space.dofmap.index_map_bs
    sizes = (owned_size(space), index_map.size_global * block)
    return Window(PETSc.Vec().createMPI(sizes, bsize=block, comm=space.mesh.comm))


class Summed:
    """An array of dofs in which every rank adds to its own and to its ghosts."""

    def __init__(self, space: Any) -> None:
        self._vector: Any = fem.create_vector(space)
        self._array: Array = self._vector.array
        self._owned = self._array[: owned_size(space)]

    def cleared(self) -> Array:
        """Return the array, ghosts included, set to zero."""
        self._array[:] = 0
        return self._array

    def total(self) -> Array:
        """Add what other ranks have in their ghosts; return the owned dofs. Collective."""
        self._vector.scatter_reverse(la.InsertMode.add)
        return self._owned
