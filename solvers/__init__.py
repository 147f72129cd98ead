"""Time-stepping solvers with exact discrete adjoints, written against `adjoint.stepping`.

Public names are loaded when they are first used: importing this package imports neither numba nor
mpi4py nor matplotlib. What needs PETSc, PyTorch or JAX is imported from its own module, such as
`solvers.petsc_ts`, `solvers.torch_cell` or `solvers.jax_scan`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from solvers.gauges import Gauges
    from solvers.grid import Grid
    from solvers.halo import Halo
    from solvers.recurrent import RecurrentNetwork
    from solvers.salish_sea import SalishSea
    from solvers.shallow_water import ShallowWater

__all__ = ["Gauges", "Grid", "Halo", "RecurrentNetwork", "SalishSea", "ShallowWater"]

_ROOMS = {
    "Gauges": "gauges",
    "Grid": "grid",
    "Halo": "halo",
    "RecurrentNetwork": "recurrent",
    "SalishSea": "salish_sea",
    "ShallowWater": "shallow_water",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
