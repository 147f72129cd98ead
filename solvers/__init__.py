"""Time-stepping solvers with exact discrete adjoints, and bridges to other libraries.

`ShallowWater` and `RecurrentNetwork` are steppers for `adjoint.gradient`. `solvers.petsc` has time
integrators for your own equations on PETSc, and takes your own ``TS``; `solvers.fenicsx` takes a
step as a UFL form, `solvers.torch` a PyTorch module, `solvers.jax` the body of a scan.

Public names are loaded when they are first used: importing this package imports no numerical
library.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.grids import Grid, Halo
    from solvers.observations import Gauges, Sensors
    from solvers.recurrent import RecurrentNetwork
    from solvers.shallow_water import SalishSea, ShallowWater

__all__ = ["Gauges", "Grid", "Halo", "RecurrentNetwork", "SalishSea", "Sensors", "ShallowWater"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Gauges": "observations",
        "Grid": "grids.grid",
        "Halo": "grids.halo",
        "RecurrentNetwork": "recurrent.network",
        "SalishSea": "shallow_water.salish_sea",
        "Sensors": "observations",
        "ShallowWater": "shallow_water.model",
    },
)
