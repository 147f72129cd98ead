"""Tsunamis: nonlinear shallow water with its exact discrete adjoint."""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.shallow_water.model import ShallowWater
    from solvers.shallow_water.salish_sea import SalishSea

__all__ = ["SalishSea", "ShallowWater"]

__getattr__, __dir__ = lazy_exports(__name__, {"SalishSea": "salish_sea", "ShallowWater": "model"})
