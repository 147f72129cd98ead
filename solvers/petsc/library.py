"""PETSc, from petsc4py, and the functions of its C interface that petsc4py does not wrap.

Every module here takes `PETSc` from this one, because the order of two imports matters: wheels of
petsc4py have no path to their MPI, and find the one that mpi4py has loaded.
"""

import ctypes
from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (loads MPI)
import numpy as np
from petsc4py import PETSc

__all__ = ["INTEGER", "POINTER", "PETSc", "call"]

LIBRARY = ctypes.PyDLL(PETSc.__file__)  # raises what a callback in Python has raised

POINTER = ctypes.c_void_p
INTEGER = np.ctypeslib.as_ctypes_type(PETSc.IntType)
"""PetscInt."""


def call(function: str, handle: int, *arguments: Any) -> None:
    """Call a function of PETSc's for an object with this handle.

    Raises
    ------
    PETSc.Error
        It failed.
    Exception
        The one that a callback in Python has raised.
    """
    error = getattr(LIBRARY, function)(POINTER(handle), *arguments)
    if error:
        raise PETSc.Error(error)
