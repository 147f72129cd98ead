"""NumPy arrays as PETSc vectors, without a copy.

States, adjoints and tapes are NumPy arrays, which the driver stores and restores. PETSc computes on
them through *windows*: vectors that ``VecPlaceArray`` makes use the memory of an array. A vector
caches its norms until its state counter increases, which writing through NumPy does not do, but
placing does. So a window is placed again whenever NumPy may have written to its memory.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from solvers.petsc.library import PETSc
from solvers.petsc.problem import Vec

__all__ = ["Window", "check_template"]


class Window:
    """A vector with the layout of a template, which can be placed on the memory of arrays.

    It holds a reference to the array that it was placed on last.
    """

    def __init__(self, template: Vec) -> None:
        self._vector = template.duplicate()
        self._size: int = template.getLocalSize()

    def on(self, array: NDArray[Any]) -> Vec:
        """Return the vector, placed on the memory of an array, whose values it keeps.

        Raises
        ------
        StepperError
            PETSc cannot use the memory: wrong dtype or size, or not contiguous.
        """
        if array.dtype != np.float64 or array.size != self._size or not array.flags.c_contiguous:
            raise StepperError(
                f"an array of {array.size} {array.dtype} cannot be used as a vector: it must have "
                f"{self._size} float64 on this rank, C-contiguous"
            )
        self._vector.resetArray()
        self._vector.placeArray(array)
        return self._vector


def check_template(template: Vec) -> None:
    """Raise `StepperError` unless vectors of this kind can be placed on NumPy arrays."""
    if np.dtype(PETSc.ScalarType) != np.float64:
        raise StepperError(
            f"this PETSc computes in {np.dtype(PETSc.ScalarType)}: use a build for real numbers in "
            "double precision"
        )
    kind = template.getType()
    if kind not in {"seq", "mpi", "standard"}:
        raise StepperError(
            f"the template is a Vec of type {kind!r}, which cannot share memory with NumPy: use "
            "type 'standard'"
        )
    with template.localForm() as local:
        # Without ghosts: None, or on one process the vector itself.
        if local and local.getSize() != template.getLocalSize():
            raise StepperError(
                "the template is a ghosted Vec: give one without ghosts, and scatter to ghosts in "
                "the callbacks"
            )
