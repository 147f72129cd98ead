"""Structured grids distributed over MPI ranks, and the exchange of their ghost cells."""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.grids.grid import Grid
    from solvers.grids.halo import Halo

__all__ = ["Grid", "Halo"]

__getattr__, __dir__ = lazy_exports(__name__, {"Grid": "grid", "Halo": "halo"})
