"""Loads DOLFINx with MPI and HDF5, in the order in which they work together."""

from contextlib import suppress

with suppress(ImportError):
    import solvers.fenicsx.libraries  # noqa: F401
