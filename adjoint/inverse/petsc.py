"""PETSc, where it is installed."""

from typing import Any

from adjoint.errors import ArgumentError

__all__ = ["import_petsc"]


def import_petsc(what: str) -> Any:
    """Return petsc4py's module PETSc. MPI is loaded first: that is how PETSc's wheels find it.

    Raises
    ------
    ArgumentError
        It cannot be imported; the message says that `what` needs it.
    """
    try:
        import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]
        from petsc4py import PETSc
    except ImportError as error:
        raise ArgumentError(f"{what} needs petsc4py: pip install petsc4py ({error})") from None
    return PETSc
