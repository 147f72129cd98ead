"""One step of `solvers.shallow_water.model`, compiled. That module has the equations.

A step makes one pass over memory, row by row northwards. Row ``t`` is read into a ring of four
rows, which then hold all that is needed to write row ``t - 2``. So a step can write to the memory
it reads from, and its working memory is a few rows. Each row is computed by a small function whose
arguments do not overlap, which lets the compiler vectorise it.

All operations also work on complex numbers: the complex-step derivative of the step is exact to
round-off, and its transpose is tested against that.
"""

import numpy as np

from solvers.shallow_water.open_sides import radiate
from solvers.shallow_water.problem import (
    GHOSTS,
    RING,
    Array,
    Constants,
    Fields,
    Medium,
    Problem,
    Rows,
    Samples,
    compiled,
)

__all__ = [
    "advance",
    "clear_ghosts",
    "misfit",
    "read_row",
    "step",
    "velocity_x_row",
    "velocity_y_row",
]


@compiled
def read_row(t: int, before: Fields, rows: Rows, c: Constants) -> None:
    """Write row `t` of the old fluxes and of the new elevation to the rings."""
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
    """Compute the inverse depth at the x faces of row `j`, and the velocity through them."""
    h, depth, wet, elevation = j % RING, medium.depth, medium.wet, rows.elevation
    for i in range(1, wet.shape[1] - 1):
        total = elevation[h, i] + depth[j, i] + elevation[h, i + 1] + depth[j, i + 1]
        per_depth = wet[j, i] * wet[j, i + 1] / (c.half * total)
        rows.per_depth_x[h, i] = per_depth
        rows.u[h, i] = rows.qx[h, i] * per_depth


@compiled
def velocity_y_row(j: int, medium: Medium, rows: Rows, c: Constants) -> None:
    """Compute the inverse depth at the y faces of row `j`, and the velocity through them."""
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
    """Take a step from `before` to `after`, which may be the same memory.

    The ghost cells of `before` must be valid. Those of `after` are zero, except for fluxes through
    open sides: the caller exchanges ghost cells with other ranks.
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
    radiate(after, problem)


@compiled
def clear_ghosts(array: Array, keep_west: bool, keep_south: bool) -> None:
    """Zero the ghost cells, except on request the domain's west or south faces."""
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
def misfit(eta: Array, samples: Samples, k: int) -> float:
    """Return the cost of step `k`: half the weighted sum of squared misfits at the gauges."""
    total = 0.0
    sample = k // samples.every
    if k % samples.every == 0 and sample < samples.observed.shape[0]:
        for gauge in range(samples.rows.size):
            level = eta[samples.rows[gauge], samples.columns[gauge]]
            difference = level - samples.observed[sample, gauge]
            total += difference * difference
    return 0.5 * samples.weight * total


@compiled
def advance(
    before: Fields, after: Fields, problem: Problem, steps: tuple[int, int], cost: float
) -> float:
    """Take the steps ``[steps[0], steps[1])``; return the running total of the cost."""
    for k in range(steps[0], steps[1]):
        cost += misfit(before.eta, problem.samples, k)
        step(before, after, problem)
        before = after
    return cost
