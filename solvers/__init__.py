"""Time-stepping solvers with exact discrete adjoints, written against `adjoint.steppers`.

Public names are loaded when they are first used: importing this package imports neither numba nor
mpi4py nor matplotlib. What needs PETSc, PyTorch or JAX is imported from its own module, such as
`solvers.petsc.ts.stepper`, `solvers.torch.sequence` or `solvers.jax.scan`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solvers.gauges import Gauges
    from solvers.grids.grid import Grid
    from solvers.grids.halo import Halo
    from solvers.recurrent.network import RecurrentNetwork
    from solvers.shallow_water.model import ShallowWater
    from solvers.shallow_water.salish_sea import SalishSea

__all__ = ["Gauges", "Grid", "Halo", "RecurrentNetwork", "SalishSea", "ShallowWater"]

_EXPORTS = {
    "Gauges": "gauges",
    "Grid": "grids.grid",
    "Halo": "grids.halo",
    "RecurrentNetwork": "recurrent.network",
    "SalishSea": "shallow_water.salish_sea",
    "ShallowWater": "shallow_water.model",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
