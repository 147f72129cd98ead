"""One step of `solvers.shallow_water.model`, compiled; that module's docstring has the equations.

Arrays are padded by two ghost cells on every side: row ``j`` and column ``i`` of the rank's own
cells start at `GHOSTS`. ``qx[j, i]`` is the east face of cell ``[j, i]``, ``qy[j, i]`` its north
face.

A step makes one pass over memory. It goes up row by row: row ``t`` is read into a ring of four
rows, which hold all that is needed to write row ``t - 2``. So a step may end in the memory it
starts from, and nothing larger than a few rows is kept besides. Each row is computed by a small
function whose arguments do not overlap (`noalias`): that is what lets the compiler vectorise.

Every operation is written for numbers of any type, complex ones included: the derivative of the
step is then known to the last bit by a complex step, which is how its transpose is tested.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GHOSTS",
    "Constants",
    "Medium",
    "OpenSides",
    "Rows",
    "Samples",
    "advance",
    "clear_ghosts",
    "compiled",
    "misfit",
    "read_row",
    "step",
    "velocity_x_row",
    "velocity_y_row",
]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

GHOSTS = 2
RING = 4


class Fields(NamedTuple):
    """A state, or an adjoint state."""

    eta: Array
    qx: Array
    qy: Array


class Constants(NamedTuple):
    """The numbers of a step, in the number type of the fields."""

    half: Any
    one: Any
    courant_x: Any
    """Time step over spacing in x."""
    courant_y: Any
    advection_x: Any
    """A quarter of `courant_x`: an advective flux is a product of two sums of two."""
    advection_y: Any
    diffusion_x: Any
    """Viscosity times time step over spacing in x squared."""
    diffusion_y: Any
    pressure_x: Any
    """Gravity times `courant_x`."""
    pressure_y: Any
    gravity: Any
    rotation: Any
    """A quarter of the Coriolis parameter times the time step: it multiplies a sum of four."""
    friction: Any
    """Half the time step: it multiplies a sum of two drag coefficients."""
    speed_floor: Any
    """The square of the speed below which friction is linear."""


class Medium(NamedTuple):
    """What the wave travels through: padded, one value a cell."""

    depth: Array
    """Still water; anything positive on land."""
    drag: Array
    """Gravity times Manning's coefficient squared over the cube root of the depth."""
    wet: Array
    """One in water, zero on land and outside of the domain."""


class OpenSides(NamedTuple):
    """Where this rank's part ends at an open side of the domain."""

    west: bool
    east: bool
    south: bool
    north: bool


class Samples(NamedTuple):
    """The gauges in this rank's cells, and what they saw."""

    rows: Array
    columns: Array
    observed: Array
    """One row a sample."""
    every: int
    """Steps from one sample to the next."""
    weight: float
    """Of a misfit squared in the cost, without the half: its derivative's factor."""


class Rows(NamedTuple):
    """Rings of rows: row ``j`` is at ``j % RING``."""

    elevation: Array
    """After the step."""
    qx: Array
    """Before the step, as `qy`."""
    qy: Array
    u: Array
    """Velocity through x faces: zero where the face is closed."""
    per_depth_x: Array
    """One over the depth at x faces: zero where the face is closed."""
    v: Array
    per_depth_y: Array

    @classmethod
    def allocate(cls, columns: int, dtype: Any) -> "Rows":
        """Make rings of rows of so many columns."""
        return cls(*(np.zeros((RING, columns), dtype) for _ in cls._fields))


class Problem(NamedTuple):
    """All that a step needs besides the state, and the memory it works in."""

    medium: Medium
    open_sides: OpenSides
    constants: Constants
    samples: Samples
    rows: Rows


def compiled(kernel: Function) -> Function:
    """Compile a kernel; no fast-math: its bits do not depend on how steps are grouped."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(kernel))


@compiled
def read_row(t: int, before: Fields, rows: Rows, c: Constants) -> None:
    """Put row `t` of the fluxes in the rings, and of the elevation after the step."""
    eta, qx, qy = before
    h, south = t % RING, (t - 1) % RING
    for i in range(eta.shape[1]):
        rows.qx[h, i] = qx[t, i]
    for i in range(eta.shape[1]):
        rows.qy[h, i] = qy[t, i]
    for i in range(1, eta.shape[1]):
        outflow_x = rows.qx[h, i] - rows.qx[h, i - 1]
        outflow_y = rows.qy[h, i] - rows.qy[south, i]
        rows.elevation[h, i] = eta[t, i] - c.courant_x * outflow_x - c.courant_y * outflow_y


@compiled
def velocity_x_row(j: int, medium: Medium, rows: Rows, c: Constants) -> None:
    """Compute one over the depth at the x faces of row `j`, and the velocity through them."""
    h, depth, wet, elevation = j % RING, medium.depth, medium.wet, rows.elevation
    for i in range(1, wet.shape[1] - 1):
        total = elevation[h, i] + depth[j, i] + elevation[h, i + 1] + depth[j, i + 1]
        per_depth = wet[j, i] * wet[j, i + 1] / (c.half * total)
        rows.per_depth_x[h, i] = per_depth
        rows.u[h, i] = rows.qx[h, i] * per_depth


@compiled
def velocity_y_row(j: int, medium: Medium, rows: Rows, c: Constants) -> None:
    """Compute one over the depth at the y faces of row `j`, and the velocity through them."""
    h, north = j % RING, (j + 1) % RING
    depth, wet, elevation = medium.depth, medium.wet, rows.elevation
    for i in range(1, wet.shape[1]):
        total = elevation[h, i] + depth[j, i] + elevation[north, i] + depth[j + 1, i]
        per_depth = wet[j, i] * wet[j + 1, i] / (c.half * total)
        rows.per_depth_y[h, i] = per_depth
        rows.v[h, i] = rows.qy[h, i] * per_depth


@compiled
def _flux_x_row(j: int, medium: Medium, rows: Rows, c: Constants, out: Array) -> None:
    """Compute the flux through the x faces of row `j` after the step."""
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    depth, drag, wet = medium
    qx, u, v, elevation = rows.qx, rows.u, rows.v, rows.elevation
    for own in range(wet.shape[1] - 2 * GHOSTS):
        i = own + GHOSTS
        flow_west = (u[h, i - 1] + u[h, i]) * (qx[h, i - 1] + qx[h, i])
        flow_east = (u[h, i] + u[h, i + 1]) * (qx[h, i] + qx[h, i + 1])
        v_south = v[south, i] + v[south, i + 1]
        v_north = v[h, i] + v[h, i + 1]
        flow_south = v_south * (qx[south, i] + qx[h, i])
        flow_north = v_north * (qx[h, i] + qx[north, i])
        across = v_south + v_north
        mean = c.half * c.half * across
        speed = np.sqrt(u[h, i] * u[h, i] + mean * mean + c.speed_floor)
        total = c.half * (elevation[h, i] + depth[j, i] + elevation[h, i + 1] + depth[j, i + 1])
        slope = elevation[h, i + 1] - elevation[h, i]
        explicit = (
            qx[h, i]
            - c.advection_x * (flow_east - flow_west)
            - c.advection_y * (flow_north - flow_south)
            + c.diffusion_x * (qx[h, i + 1] - qx[h, i] + (qx[h, i - 1] - qx[h, i]))
            + c.diffusion_y * (qx[north, i] - qx[h, i] + (qx[south, i] - qx[h, i]))
            + total * (c.rotation * across - c.pressure_x * slope)
        )
        drags = drag[j, i] + drag[j, i + 1]
        implicit = c.one + c.friction * drags * speed * rows.per_depth_x[h, i]
        out[j, i] = wet[j, i] * wet[j, i + 1] * explicit / implicit


@compiled
def _flux_y_row(j: int, medium: Medium, rows: Rows, c: Constants, out: Array) -> None:
    """Compute the flux through the y faces of row `j` after the step."""
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    depth, drag, wet = medium
    qy, u, v, elevation = rows.qy, rows.u, rows.v, rows.elevation
    for own in range(wet.shape[1] - 2 * GHOSTS):
        i = own + GHOSTS
        flow_south = (v[south, i] + v[h, i]) * (qy[south, i] + qy[h, i])
        flow_north = (v[h, i] + v[north, i]) * (qy[h, i] + qy[north, i])
        u_west = u[h, i - 1] + u[north, i - 1]
        u_east = u[h, i] + u[north, i]
        flow_west = u_west * (qy[h, i - 1] + qy[h, i])
        flow_east = u_east * (qy[h, i] + qy[h, i + 1])
        across = u_west + u_east
        mean = c.half * c.half * across
        speed = np.sqrt(v[h, i] * v[h, i] + mean * mean + c.speed_floor)
        total = c.half * (elevation[h, i] + depth[j, i] + elevation[north, i] + depth[j + 1, i])
        slope = elevation[north, i] - elevation[h, i]
        explicit = (
            qy[h, i]
            - c.advection_x * (flow_east - flow_west)
            - c.advection_y * (flow_north - flow_south)
            + c.diffusion_x * (qy[h, i + 1] - qy[h, i] + (qy[h, i - 1] - qy[h, i]))
            + c.diffusion_y * (qy[north, i] - qy[h, i] + (qy[south, i] - qy[h, i]))
            - total * (c.rotation * across + c.pressure_y * slope)
        )
        drags = drag[j, i] + drag[j + 1, i]
        implicit = c.one + c.friction * drags * speed * rows.per_depth_y[h, i]
        out[j, i] = wet[j, i] * wet[j + 1, i] * explicit / implicit


@compiled
def _elevation_out(j: int, rows: Rows, out: Array) -> None:
    for i in range(out.shape[1]):
        out[j, i] = rows.elevation[j % RING, i]


@compiled
def step(before: Fields, after: Fields, problem: Problem) -> None:
    """Take a step, from one state's memory to another's, which may be the same.

    The ghost cells before are valid. Those after are zero, and the fluxes through open sides:
    ghost cells that are some other rank's still have to be exchanged.
    """
    medium, rows, c = problem.medium, problem.rows, problem.constants
    num_rows = before.eta.shape[0]
    for i in range(before.eta.shape[1]):
        rows.qy[0, i] = before.qy[0, i]
    for t in range(1, num_rows):
        read_row(t, before, rows, c)
        velocity_x_row(t, medium, rows, c)
        if t > 1:
            velocity_y_row(t - 1, medium, rows, c)
        if t >= 2 * GHOSTS:
            _flux_x_row(t - GHOSTS, medium, rows, c, after.qx)
            _flux_y_row(t - GHOSTS, medium, rows, c, after.qy)
            _elevation_out(t - GHOSTS, rows, after.eta)
    for array in after:
        clear_ghosts(array, False, False)
    _radiate(after, problem)


@compiled
def clear_ghosts(array: Array, keep_west: bool, keep_south: bool) -> None:
    """Make ghost cells zero, except the faces of the west or the south side."""
    num_rows, num_columns = array.shape
    for j in range(num_rows):
        inside = GHOSTS <= j < num_rows - GHOSTS
        for i in range(GHOSTS):
            if not (keep_west and inside and i == GHOSTS - 1):
                array[j, i] = 0
            array[j, num_columns - 1 - i] = 0
        if not inside and not (keep_south and j == GHOSTS - 1):
            for i in range(GHOSTS, num_columns - GHOSTS):
                array[j, i] = 0


@compiled
def _outflow(j: int, i: int, eta: Array, problem: Problem) -> Any:
    """Compute the flux out of a cell at an open side: the wave speed times the elevation."""
    here, medium = eta[j, i], problem.medium
    speed = np.sqrt(problem.constants.gravity * (here + medium.depth[j, i]))
    return medium.wet[j, i] * here * speed


@compiled
def _radiate(after: Fields, problem: Problem) -> None:
    """Let waves leave through open sides."""
    eta, qx, qy = after
    sides = problem.open_sides
    low, top, right = GHOSTS, eta.shape[0] - GHOSTS - 1, eta.shape[1] - GHOSTS - 1
    for j in range(low, top + 1):
        if sides.west:
            qx[j, low - 1] = -_outflow(j, low, eta, problem)
        if sides.east:
            qx[j, right] = _outflow(j, right, eta, problem)
    for i in range(low, right + 1):
        if sides.south:
            qy[low - 1, i] = -_outflow(low, i, eta, problem)
        if sides.north:
            qy[top, i] = _outflow(top, i, eta, problem)


@compiled
def misfit(eta: Array, samples: Samples, k: int) -> float:
    """Compute the cost of step `k`: half the weighted sum of the gauges' squared differences."""
    total = 0.0
    sample = k // samples.every
    if k % samples.every == 0 and sample < samples.observed.shape[0]:
        for gauge in range(samples.rows.size):
            seen = eta[samples.rows[gauge], samples.columns[gauge]]
            difference = seen - samples.observed[sample, gauge]
            total += difference * difference
    return 0.5 * samples.weight * total


@compiled
def advance(
    before: Fields, after: Fields, problem: Problem, steps: tuple[int, int], cost: float
) -> float:
    """Take the steps from ``steps[0]`` to ``steps[1]``; return the running total of the cost."""
    for k in range(steps[0], steps[1]):
        cost += misfit(before.eta, problem.samples, k)
        step(before, after, problem)
        before = after
    return cost
