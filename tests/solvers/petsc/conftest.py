"""Loads MPI before a test loads petsc4py, so that each file can be run alone."""

from contextlib import suppress

with suppress(ImportError):  # absent: the tests that need it say so
    import mpi4py.MPI  # noqa: F401
