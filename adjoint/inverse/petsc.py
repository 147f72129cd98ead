"""PETSc, from petsc4py, imported behind MPI: its wheels find the MPI that mpi4py has loaded."""

from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (loads MPI)
import petsc4py.PETSc

__all__ = ["PETSc"]

PETSc: Any = petsc4py.PETSc
