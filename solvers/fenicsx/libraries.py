"""Loads the libraries of a DOLFINx wheel, in the order in which they work together.

mpi4py finds the MPI library that DOLFINx and PETSc need. DOLFINx and h5py have an HDF5 each, and
h5py does not work with the other one: it must be loaded before ``dolfinx.fem.petsc``.
"""

# ruff: noqa: F401  (imported in this order, to be loaded)
# pyright: reportUnusedImport=false

import warnings

__all__: list[str] = []

try:
    import mpi4py.MPI

    try:
        import h5py
    except ValueError as error:
        warnings.warn(
            f"h5py cannot be used in this process ({error}), so file= cannot: import h5py before "
            "dolfinx.fem.petsc",
            stacklevel=2,
        )
    import dolfinx
    import petsc4py.PETSc
    import ufl
except ModuleNotFoundError as error:
    raise ImportError(
        f"solvers.fenicsx needs DOLFINx 0.11, and there is no module {error.name!r}: pip install "
        "dolfinx-solver-real, with Python 3.12 or newer"
    ) from error
