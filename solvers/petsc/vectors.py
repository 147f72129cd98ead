"""NumPy memory seen as PETSc vectors, without a copy.

States, adjoints and tapes are NumPy arrays: the driver keeps them, writes them to a file and hands
them back. PETSc's vectors are *windows* on them: ``VecPlaceArray`` makes a vector use the memory it
is given. A vector remembers its norms until it is told that it changed, and NumPy tells it nothing;
placing tells it. So a window is placed anew whenever its memory may have been written from outside.
"""

from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from adjoint.errors import StepperError
from solvers.petsc.problem import Vec

__all__ = ["Window", "check_template"]


class Window:
    """A vector with the layout of a template, to be placed on memory.

    It keeps a reference to that memory, and has none of its own that is ever touched.
    """

    def __init__(self, template: Vec) -> None:
        self._vector = template.duplicate()
        self._size: int = template.getLocalSize()

    def on(self, array: NDArray[Any]) -> Vec:
        """Return the vector, now looking at this memory, which holds what it held.

        Raises
        ------
        StepperError
            The array is not one that PETSc can use where it is.
        """
        if array.dtype != np.float64 or array.size != self._size or not array.flags.c_contiguous:
            raise StepperError(
                f"an array of {array.size} {array.dtype} cannot be a vector of {self._size} "
                "float64 on this rank, in one piece"
            )
        self._vector.resetArray()
        self._vector.placeArray(array)
        return self._vector


def check_template(template: Vec) -> None:
    """Raise `StepperError` unless vectors of this kind can be placed on NumPy memory."""
    if np.dtype(PETSc.ScalarType) != np.float64:
        raise StepperError(
            f"this PETSc computes in {np.dtype(PETSc.ScalarType)}: use a build with real numbers "
            "in double precision"
        )
    kind = template.getType()
    if kind not in {"seq", "mpi", "standard"}:
        raise StepperError(
            f"the template is a Vec of type {kind!r}, whose memory is not NumPy's: use 'standard'"
        )
    with template.localForm() as local:
        # None, or on one process the vector itself.
        if local and local.getSize() != template.getLocalSize():
            raise StepperError(
                "the template is a ghosted Vec: give one without ghosts, and scatter in callbacks"
            )
