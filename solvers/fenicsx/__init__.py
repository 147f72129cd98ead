"""A FEniCSx time step as a stepper: from the UFL form of one step, the exact gradient.

`FormStepper` takes the residual of a step, in a time discretisation of your own. `PointMisfit`
compares the state with data at points, and `on_one_rank` gathers a Function for a picture.
"""

import importlib
from typing import TYPE_CHECKING, Any

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.fenicsx.points import PointMisfit, on_one_rank
    from solvers.fenicsx.stepper import FormStepper

__all__ = ["FormStepper", "PointMisfit", "on_one_rank"]

_load, __dir__ = lazy_exports(
    __name__, {"FormStepper": "stepper", "PointMisfit": "points", "on_one_rank": "points"}
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        importlib.import_module(f"{__name__}.libraries")
    return _load(name)
