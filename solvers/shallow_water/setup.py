"""Checks of the arguments of `solvers.shallow_water.model`, and their form for its kernels.

Nothing here communicates: the solver makes all ranks raise what one of them raises.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from solvers.grids.grid import Grid
from solvers.observations import Gauges
from solvers.shallow_water.problem import GHOSTS, Constants, OpenSides, Samples

__all__ = [
    "check_physics",
    "check_time_step",
    "check_values",
    "longest_step",
    "make_constants",
    "make_fields",
    "make_samples",
    "open_here",
]

Array = NDArray[Any]

SPEED_FLOOR = 1e-3
"""In m/s. Keeps the friction differentiable at rest: it is linear well below this speed, which is
far below that of any wave of interest."""


def make_fields(
    values: Mapping[str, ArrayLike], grid: Grid, dtype: np.dtype[Any]
) -> dict[str, Array]:
    """Return the controls as fields of this rank's cells, copied."""
    if dtype.char not in "fd":
        raise ArgumentError(f"dtype must be float64 or float32, not {dtype}")
    fields = {}
    for name, value in values.items():
        given = np.asarray(value)
        if given.dtype.kind not in "fiu":
            raise ArgumentError(f"{name} must hold real numbers, not {given.dtype}")
        if given.shape not in ((), grid.local_shape):
            raise ArgumentError(
                f"{name} has shape {given.shape}, but the cells of rank {grid.ranks.rank} have "
                f"shape {grid.local_shape}: Grid.scatter gives each rank its part of a field"
            )
        fields[name] = np.array(np.broadcast_to(given, grid.local_shape), dtype, order="C")
    return fields


def check_values(controls: Mapping[str, Array], wet: NDArray[np.bool_]) -> None:
    """Refuse controls that are out of range in a wet cell."""
    for name, field in controls.items():
        if not np.isfinite(field[wet]).all():
            raise ArgumentError(f"{name} is not finite in a wet cell")
    depth = controls["bathymetry"][wet] + np.minimum(controls["elevation"][wet], 0)
    if depth.size and depth.min() <= 0:
        raise ArgumentError(
            f"the water is {depth.min()} m deep in a cell that was wet at construction: the "
            "coast does not move, so keep bathymetry and elevation within bounds"
        )
    if (controls["friction"][wet] < 0).any():
        raise ArgumentError(f"friction is negative: {controls['friction'][wet].min()}")


def check_physics(physics: Mapping[str, float], open_sides: Collection[str]) -> None:
    """Refuse numbers out of range, and sides that do not exist."""
    for name, value in physics.items():
        if not np.isfinite(value):
            raise ArgumentError(f"{name} must be finite, not {value}")
    for name in ("gravity", "minimum_depth"):
        if physics[name] <= 0:
            raise ArgumentError(f"{name} must be positive, not {physics[name]}")
    if physics["viscosity"] < 0:
        raise ArgumentError(f"viscosity must not be negative, but is {physics['viscosity']}")
    unknown = sorted(set(open_sides) - set(OpenSides._fields))
    if unknown:
        raise ArgumentError(
            f"open_sides has {unknown}: the sides are {', '.join(OpenSides._fields)}"
        )


def longest_step(deepest: float, grid: Grid, gravity: float) -> float:
    """Return the longest stable time step in seconds for water `deepest` metres deep.

    Raises
    ------
    ArgumentError
        There is no water.
    """
    if not deepest > 0:
        raise ArgumentError("there is no water: no cell is at least minimum_depth deep")
    dy, dx = grid.spacing
    return float(1 / np.sqrt(gravity * deepest * (dx**-2 + dy**-2)))


def check_time_step(time_step: float, longest: float, grid: Grid, viscosity: float) -> None:
    """Refuse a time step for which waves or viscosity are unstable."""
    if not (np.isfinite(time_step) and 0 < time_step <= longest):
        raise ArgumentError(
            f"a time step of {time_step} s is not stable: waves over the deepest water allow at "
            f"most {longest:.6g} s"
        )
    dy, dx = grid.spacing
    if 2 * viscosity * time_step * (dx**-2 + dy**-2) > 1:
        raise ArgumentError(
            f"a viscosity of {viscosity} m^2/s is unstable with time steps of {time_step} s"
        )


def make_constants(
    time_step: float, grid: Grid, physics: Mapping[str, float], dtype: np.dtype[Any]
) -> Constants:
    """Return the coefficients of a step, in the dtype of the fields."""
    dy, dx = grid.spacing
    gravity, viscosity = physics["gravity"], physics["viscosity"]
    numbers = {
        "half": 0.5,
        "one": 1.0,
        "courant_x": time_step / dx,
        "courant_y": time_step / dy,
        "advection_x": time_step / dx / 4,
        "advection_y": time_step / dy / 4,
        "diffusion_x": viscosity * time_step / dx**2,
        "diffusion_y": viscosity * time_step / dy**2,
        "pressure_x": gravity * time_step / dx,
        "pressure_y": gravity * time_step / dy,
        "gravity": gravity,
        "rotation": physics["coriolis"] * time_step / 4,
        "friction": time_step / 2,
        "speed_floor": SPEED_FLOOR**2,
    }
    return Constants(**{name: dtype.type(number) for name, number in numbers.items()})


def open_here(open_sides: Collection[str], grid: Grid) -> OpenSides:
    """Return the open sides of the domain that this rank's part touches."""
    return OpenSides(*(s in open_sides and getattr(grid, s) is None for s in OpenSides._fields))


def make_samples(gauges: Gauges, grid: Grid, wet: NDArray[np.bool_], time_step: float) -> Samples:
    """Return this rank's gauges, in the form that the kernels take."""
    gauges.require_within(grid.shape)
    mine, (rows, columns) = gauges.local(grid.own)
    for gauge, row, column in zip(mine, rows, columns, strict=True):
        if not wet[row, column]:
            raise ArgumentError(
                f"gauge {tuple(gauges.cells[gauge])} is on land: move it to the water"
            )
    levels = gauges.observed
    observed = (
        np.zeros((0, len(mine))) if levels is None else levels[:, mine].astype(float, order="C")
    )
    weight = 0.0 if levels is None else time_step * gauges.every / gauges.sigma**2
    return Samples(rows + GHOSTS, columns + GHOSTS, observed, gauges.every, float(weight))
