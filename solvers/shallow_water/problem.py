"""The arrays and numbers that the kernels of `solvers.shallow_water` work on.

Numba compiles functions of named tuples, so these are the kernels' arguments. Arrays are padded by
`GHOSTS` ghost cells on every side: row ``j`` and column ``i`` of the rank's own cells start at
`GHOSTS`. ``qx[j, i]`` is the east face of cell ``[j, i]``, ``qy[j, i]`` its north face.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays, aligned_zeros

__all__ = [
    "GHOSTS",
    "RING",
    "Array",
    "Constants",
    "Fields",
    "Medium",
    "OpenSides",
    "Problem",
    "Rows",
    "Samples",
    "Totals",
    "compiled",
]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

GHOSTS = 2
"""Ghost cells on every side: fluxes of a step depend on velocities one cell away, and these on
elevations one cell further."""

RING = 4
"""Rows kept while sweeping: writing row ``t - 2`` needs rows ``t - 3`` to ``t``."""


class Fields(NamedTuple):
    """A state, or an adjoint state."""

    eta: Array
    qx: Array
    qy: Array

    @classmethod
    def of(cls, arrays: Arrays) -> "Fields":
        """Return named arrays as fields."""
        return cls(arrays["eta"], arrays["qx"], arrays["qy"])

    @classmethod
    def zeros(cls, shape: tuple[int, int], dtype: Any) -> Arrays:
        """Return zeroed arrays of a padded shape, by name."""
        return {name: aligned_zeros(shape, dtype) for name in cls._fields}


class Constants(NamedTuple):
    """The coefficients of a step, in the dtype of the fields."""

    half: Any
    one: Any
    courant_x: Any
    """Time step over spacing in x."""
    courant_y: Any
    advection_x: Any
    """A quarter of `courant_x`: an advective flux is the product of two sums of two values."""
    advection_y: Any
    diffusion_x: Any
    """Viscosity times time step over spacing in x squared."""
    diffusion_y: Any
    pressure_x: Any
    """Gravity times `courant_x`."""
    pressure_y: Any
    gravity: Any
    rotation: Any
    """A quarter of the Coriolis parameter times the time step: multiplies a sum of four values."""
    friction: Any
    """Half the time step: multiplies the sum of two drag coefficients."""
    speed_floor: Any
    """The square of the speed below which friction is linear."""


class Medium(NamedTuple):
    """The medium that waves travel through: padded arrays, one value per cell."""

    depth: Array
    """Depth of still water; any positive value on land."""
    drag: Array
    """Gravity times Manning's coefficient squared over the cube root of the depth."""
    wet: Array
    """One in water, zero on land and outside the domain."""


class OpenSides(NamedTuple):
    """Whether this rank's part ends at an open side of the domain, for each side."""

    west: bool
    east: bool
    south: bool
    north: bool


class Samples(NamedTuple):
    """The gauges in this rank's cells and their observations."""

    rows: Array
    columns: Array
    observed: Array
    """Water levels, one row per sample."""
    every: int
    """Steps from one sample to the next."""
    weight: float
    """The cost of a sample is half of this times the squared misfit."""


class Rows(NamedTuple):
    """Rings of rows: row ``j`` is at ``j % RING``."""

    elevation: Array
    """After the step."""
    qx: Array
    """Before the step, like `qy`."""
    qy: Array
    u: Array
    """Velocity through x faces; zero where the face is closed."""
    per_depth_x: Array
    """Inverse of the total depth at x faces; zero where the face is closed."""
    v: Array
    per_depth_y: Array

    @classmethod
    def allocate(cls, columns: int, dtype: Any) -> "Rows":
        """Return zeroed rings of rows of `columns` cells."""
        return cls(*(np.zeros((RING, columns), dtype) for _ in cls._fields))


class Problem(NamedTuple):
    """All that a step needs besides the state, and its working memory."""

    medium: Medium
    open_sides: OpenSides
    constants: Constants
    samples: Samples
    rows: Rows


class Totals(NamedTuple):
    """Accumulators of the derivatives with respect to the medium."""

    margin: int
    """Padded cells that `depth` and `drag` omit on every side."""
    depth: Array
    drag: Array


def compiled(kernel: Function) -> Function:
    """Compile a kernel, without fast-math: its bits must not depend on how steps are grouped.

    Numba caches a compiled kernel by the date of the kernel's own file. After changing a kernel,
    touch the files whose kernels call it, or they keep calling the old one.
    """
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(kernel))
