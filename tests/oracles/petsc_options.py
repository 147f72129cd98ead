"""PETSc's database of options, for the tests of solvers that read it."""

from collections.abc import Callable

from mpi4py import MPI  # noqa: F401  (before petsc4py: it finds the MPI that that one needs)
from petsc4py import PETSc

__all__ = ["option_setter"]


def option_setter(prefix: str) -> Callable[[dict], None]:
    """Return a function that sets the options of a prefix, and deletes all others that have it."""

    def set_options(options: dict) -> None:
        database = PETSc.Options()
        for name in database.getAll():
            if name.startswith(prefix):
                database.delValue(name)
        for name, value in options.items():
            database[prefix + name] = value

    return set_options
