"""The transpose of one step of `solvers.shallow_water.model`, compiled.

The transpose *gathers*: the adjoint of a quantity is summed from the adjoints of everything that
was computed from it. Like the step, it sweeps the rows northwards and keeps only rings of rows, so
that one pass replaces the adjoint state in place. After reading row ``t`` it computes

- the velocities of the forward step, from the state before it (`read_row`, `velocity_x_row`,
  `velocity_y_row`);
- in row ``t - 2``, the adjoints of the terms of both momentum equations, from the adjoint of the
  new fluxes (`_momentum_x_row`, `_momentum_y_row`);
- in row ``t - 3``, from these the adjoints of the velocities and the old fluxes (`_flux_x_row`,
  `_flux_y_row`), then of the new elevation (`_elevation_row`), and its contribution to the old
  fluxes through the continuity equation (`_continuity_row`).

Ghost cells of the adjoint are zero before a step. Afterwards they hold contributions to cells that
other ranks own.
"""

from typing import Any, NamedTuple

import numpy as np

from solvers.shallow_water.kernels import clear_ghosts, read_row, velocity_x_row, velocity_y_row
from solvers.shallow_water.open_sides import absorb
from solvers.shallow_water.problem import (
    GHOSTS,
    RING,
    Array,
    Constants,
    Fields,
    Problem,
    Totals,
    compiled,
)

__all__ = ["AdjointRows", "close_step", "pull_back_step"]


class AdjointRows(NamedTuple):
    """Rings of rows of adjoints: row ``j`` is at ``j % RING``. Zero beyond the rank's own faces.

    Names ending in ``x`` are at x faces, in ``y`` at y faces. They name the forward quantity.
    """

    explicit_x: Array
    across_x: Array
    velocity_x: Array
    """Of the velocity, through friction only."""
    total_x: Array
    """Of the total depth, except through the velocity."""
    push_x: Array
    """Of the elevation to the west, through pressure; that to the east has the opposite sign."""
    drag_x: Array
    explicit_y: Array
    across_y: Array
    velocity_y: Array
    total_y: Array
    push_y: Array
    drag_y: Array
    depth_x: Array
    """Of the total depth at x faces, including through the velocity."""
    depth_y: Array
    depth: Array
    """Of the still depth at cell centres."""
    drag: Array

    @classmethod
    def allocate(cls, columns: int, dtype: Any) -> "AdjointRows":
        """Return zeroed rings of rows of `columns` cells."""
        return cls(*(np.zeros((RING, columns), dtype) for _ in cls._fields))


@compiled
def _momentum_x_row(
    j: int, adjoint: Fields, before: Fields, problem: Problem, out: AdjointRows
) -> None:
    """Compute the adjoints of the terms of the momentum equation at the x faces of row `j`."""
    h, south = j % RING, (j - 1) % RING
    depth, drag, wet = problem.medium
    rows, c, flux, qx_old = problem.rows, problem.constants, adjoint.qx, before.qx
    u, v, elevation = rows.u, rows.v, rows.elevation
    for own in range(wet.shape[1] - 2 * GHOSTS):
        i = own + GHOSTS
        qx, west, east = qx_old[j, i], qx_old[j, i - 1], qx_old[j, i + 1]
        above, below = qx_old[j + 1, i], qx_old[j - 1, i]
        flow_west = (u[h, i - 1] + u[h, i]) * (west + qx)
        flow_east = (u[h, i] + u[h, i + 1]) * (qx + east)
        v_south = v[south, i] + v[south, i + 1]
        v_north = v[h, i] + v[h, i + 1]
        flows = (
            c.advection_x * (flow_east - flow_west)
            + c.advection_y * (v_north * (qx + above) - v_south * (below + qx))
        )  # fmt: skip
        spread = c.diffusion_x * (east - qx + (west - qx)) + c.diffusion_y * (
            above - qx + (below - qx)
        )
        across = v_south + v_north
        mean = c.half * c.half * across
        speed = np.sqrt(u[h, i] * u[h, i] + mean * mean + c.speed_floor)
        total = c.half * (elevation[h, i] + depth[j, i] + elevation[h, i + 1] + depth[j, i + 1])
        slope = elevation[h, i + 1] - elevation[h, i]
        force = c.rotation * across - c.pressure_x * slope
        per_depth = rows.per_depth_x[h, i]
        resistance = c.friction * (drag[j, i] + drag[j, i + 1]) * per_depth
        implicit = c.one + resistance * speed
        inverse = c.one / (implicit * speed)
        explicit = wet[j, i] * wet[j, i + 1] * flux[j, i] * speed * inverse
        decayed = (qx - flows + spread + total * force) * speed * inverse
        braked = -explicit * decayed
        slowed = braked * resistance * implicit * inverse
        out.explicit_x[h, i] = explicit
        out.across_x[h, i] = c.half * c.half * slowed * mean + explicit * total * c.rotation
        out.velocity_x[h, i] = slowed * u[h, i]
        out.total_x[h, i] = explicit * force - braked * resistance * speed * per_depth
        out.push_x[h, i] = explicit * total * c.pressure_x
        out.drag_x[h, i] = braked * c.friction * speed * per_depth


@compiled
def _momentum_y_row(
    j: int, adjoint: Fields, before: Fields, problem: Problem, out: AdjointRows
) -> None:
    """Compute the adjoints of the terms of the momentum equation at the y faces of row `j`."""
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    depth, drag, wet = problem.medium
    rows, c, flux, qy_old = problem.rows, problem.constants, adjoint.qy, before.qy
    u, v, elevation = rows.u, rows.v, rows.elevation
    for own in range(wet.shape[1] - 2 * GHOSTS):
        i = own + GHOSTS
        qy, west, east = qy_old[j, i], qy_old[j, i - 1], qy_old[j, i + 1]
        above, below = qy_old[j + 1, i], qy_old[j - 1, i]
        flow_south = (v[south, i] + v[h, i]) * (below + qy)
        flow_north = (v[h, i] + v[north, i]) * (qy + above)
        u_west = u[h, i - 1] + u[north, i - 1]
        u_east = u[h, i] + u[north, i]
        flows = (
            c.advection_x * (u_east * (qy + east) - u_west * (west + qy))
            + c.advection_y * (flow_north - flow_south)
        )  # fmt: skip
        spread = c.diffusion_x * (east - qy + (west - qy)) + c.diffusion_y * (
            above - qy + (below - qy)
        )
        across = u_west + u_east
        mean = c.half * c.half * across
        speed = np.sqrt(v[h, i] * v[h, i] + mean * mean + c.speed_floor)
        total = c.half * (elevation[h, i] + depth[j, i] + elevation[north, i] + depth[j + 1, i])
        slope = elevation[north, i] - elevation[h, i]
        force = -c.rotation * across - c.pressure_y * slope
        per_depth = rows.per_depth_y[h, i]
        resistance = c.friction * (drag[j, i] + drag[j + 1, i]) * per_depth
        implicit = c.one + resistance * speed
        inverse = c.one / (implicit * speed)
        explicit = wet[j, i] * wet[j + 1, i] * flux[j, i] * speed * inverse
        decayed = (qy - flows + spread + total * force) * speed * inverse
        braked = -explicit * decayed
        slowed = braked * resistance * implicit * inverse
        out.explicit_y[h, i] = explicit
        out.across_y[h, i] = c.half * c.half * slowed * mean - explicit * total * c.rotation
        out.velocity_y[h, i] = slowed * v[h, i]
        out.total_y[h, i] = explicit * force - braked * resistance * speed * per_depth
        out.push_y[h, i] = explicit * total * c.pressure_y
        out.drag_y[h, i] = braked * c.friction * speed * per_depth


@compiled
def _flux_x_row(
    j: int, before: Fields, adjoint: Fields, problem: Problem, made: AdjointRows
) -> None:
    """Compute the adjoint of the old x fluxes in row `j`, except through continuity."""
    _, qx, qy = before
    rows, c, flux = problem.rows, problem.constants, adjoint.qx
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    p, r, across, u, v = made.explicit_x, made.explicit_y, made.across_y, rows.u, rows.v
    for i in range(1, qx.shape[1] - 1):
        west = c.advection_x * (p[h, i] - p[h, i - 1])
        east = c.advection_x * (p[h, i + 1] - p[h, i])
        above = c.advection_y * (p[north, i] - p[h, i])
        below = c.advection_y * (p[h, i] - p[south, i])
        corner = c.advection_x * (r[h, i + 1] - r[h, i])
        corner_south = c.advection_x * (r[south, i + 1] - r[south, i])
        velocity = (
            made.velocity_x[h, i]
            + west * (qx[j, i - 1] + qx[j, i])
            + east * (qx[j, i] + qx[j, i + 1])
            + corner * (qy[j, i] + qy[j, i + 1])
            + corner_south * (qy[j - 1, i] + qy[j - 1, i + 1])
            + (across[h, i] + across[h, i + 1] + across[south, i] + across[south, i + 1])
        )
        flux[j, i] = (
            p[h, i]
            + west * (u[h, i - 1] + u[h, i])
            + east * (u[h, i] + u[h, i + 1])
            + above * (v[h, i] + v[h, i + 1])
            + below * (v[south, i] + v[south, i + 1])
            + c.diffusion_x * (p[h, i + 1] - p[h, i] + (p[h, i - 1] - p[h, i]))
            + c.diffusion_y * (p[north, i] - p[h, i] + (p[south, i] - p[h, i]))
            + rows.per_depth_x[h, i] * velocity
        )
        made.depth_x[h, i] = made.total_x[h, i] - u[h, i] * velocity * rows.per_depth_x[h, i]


@compiled
def _flux_y_row(
    j: int, before: Fields, adjoint: Fields, problem: Problem, made: AdjointRows
) -> None:
    """Compute the adjoint of the old y fluxes in row `j`, except through continuity."""
    _, qx, qy = before
    rows, c, flux = problem.rows, problem.constants, adjoint.qy
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    p, r, across, u, v = made.explicit_x, made.explicit_y, made.across_x, rows.u, rows.v
    for i in range(1, qx.shape[1] - 1):
        above = c.advection_y * (r[north, i] - r[h, i])
        below = c.advection_y * (r[h, i] - r[south, i])
        west = c.advection_x * (r[h, i] - r[h, i - 1])
        east = c.advection_x * (r[h, i + 1] - r[h, i])
        corner = c.advection_y * (p[north, i] - p[h, i])
        corner_west = c.advection_y * (p[north, i - 1] - p[h, i - 1])
        velocity = (
            made.velocity_y[h, i]
            + below * (qy[j - 1, i] + qy[j, i])
            + above * (qy[j, i] + qy[j + 1, i])
            + corner * (qx[j, i] + qx[j + 1, i])
            + corner_west * (qx[j, i - 1] + qx[j + 1, i - 1])
            + (across[h, i] + across[h, i - 1] + across[north, i] + across[north, i - 1])
        )
        flux[j, i] = (
            r[h, i]
            + below * (v[south, i] + v[h, i])
            + above * (v[h, i] + v[north, i])
            + east * (u[h, i] + u[north, i])
            + west * (u[h, i - 1] + u[north, i - 1])
            + c.diffusion_x * (r[h, i + 1] - r[h, i] + (r[h, i - 1] - r[h, i]))
            + c.diffusion_y * (r[north, i] - r[h, i] + (r[south, i] - r[h, i]))
            + rows.per_depth_y[h, i] * velocity
        )
        made.depth_y[h, i] = made.total_y[h, i] - rows.v[h, i] * velocity * rows.per_depth_y[h, i]


@compiled
def _elevation_row(j: int, made: AdjointRows, c: Constants, eta: Array) -> None:
    """Compute the adjoints of the new elevation, the depth and the drag in row `j`."""
    h, south = j % RING, (j - 1) % RING
    push_x, push_y, drag_x, drag_y = made.push_x, made.push_y, made.drag_x, made.drag_y
    for i in range(1, eta.shape[1]):
        sides = made.depth_x[h, i] + made.depth_x[h, i - 1]
        ends = made.depth_y[h, i] + made.depth_y[south, i]
        depth = c.half * (sides + ends)
        made.depth[h, i] = depth
        push = push_x[h, i] - push_x[h, i - 1] + (push_y[h, i] - push_y[south, i])
        eta[j, i] += depth + push
    for i in range(1, eta.shape[1]):
        made.drag[h, i] = drag_x[h, i] + drag_x[h, i - 1] + (drag_y[h, i] + drag_y[south, i])


@compiled
def _continuity_row(j: int, adjoint: Fields, c: Constants) -> None:
    """Add the contribution of the elevation in row `j` to the adjoint of the old fluxes."""
    eta, qx, qy = adjoint
    last = eta.shape[1] - 1
    for i in range(last):
        qx[j, i] += c.courant_x * (eta[j, i + 1] - eta[j, i])
    qx[j, last] -= c.courant_x * eta[j, last]
    for i in range(eta.shape[1]):
        qy[j - 1, i] += c.courant_y * (eta[j, i] - eta[j - 1, i])


@compiled
def _collect_row(j: int, row: Array, margin: int, total: Array) -> None:
    """Add row `j` to an accumulator that omits `margin` cells on every side."""
    if margin <= j < total.shape[0] + margin:
        for i in range(total.shape[1]):
            total[j - margin, i] += row[j % RING, i + margin]


@compiled
def _clear_row(j: int, rings: Any) -> None:
    for ring in rings:
        for i in range(ring.shape[1]):
            ring[j % RING, i] = 0


@compiled
def _momentum_rows(
    j: int, adjoint: Fields, before: Fields, problem: Problem, made: AdjointRows
) -> None:
    if GHOSTS <= j < before.eta.shape[0] - GHOSTS:
        _momentum_x_row(j, adjoint, before, problem, made)
        _momentum_y_row(j, adjoint, before, problem, made)
    else:
        _clear_row(j, made)


@compiled
def _clear_first(before: Fields, problem: Problem) -> None:
    """Initialise row 0 of the rings: its velocity is not known, and not used."""
    _clear_row(0, problem.rows)
    for i in range(before.qy.shape[1]):
        problem.rows.qy[0, i] = before.qy[0, i]


@compiled
def pull_back_step(
    before: Fields, adjoint: Fields, problem: Problem, made: AdjointRows, totals: Totals
) -> None:
    """Apply the transposed Jacobian of the step from `before` to `adjoint`, in place.

    Adds the derivatives with respect to depth and drag to `totals`.
    """
    rows, c, num_rows = problem.rows, problem.constants, before.eta.shape[0]
    absorb(before, adjoint, problem, totals)
    _clear_first(before, problem)
    for t in range(1, num_rows + GHOSTS + 1):
        if t < num_rows:
            read_row(t, before, rows, c)
            velocity_x_row(t, problem.medium, rows, c)
        if 1 < t < num_rows:
            velocity_y_row(t - 1, problem.medium, rows, c)
        if t > 1:
            _momentum_rows(t - 2, adjoint, before, problem, made)
        j = t - 3
        if 0 < j < num_rows - 1:
            _flux_x_row(j, before, adjoint, problem, made)
            _flux_y_row(j, before, adjoint, problem, made)
        if j > 0:
            _elevation_row(j, made, c, adjoint.eta)
            _continuity_row(j, adjoint, c)
            _collect_row(j, made.depth, totals.margin, totals.depth)
            _collect_row(j, made.drag, totals.margin, totals.drag)
    for i in range(before.eta.shape[1]):
        adjoint.qy[num_rows - 1, i] -= c.courant_y * adjoint.eta[num_rows - 1, i]


@compiled
def close_step(k: int, before: Fields, adjoint: Fields, problem: Problem) -> None:
    """Clear the adjoint's ghost cells and add the derivative of the cost of step `k`."""
    sides, samples = problem.open_sides, problem.samples
    clear_ghosts(adjoint.eta, False, False)
    clear_ghosts(adjoint.qx, sides.west, False)
    clear_ghosts(adjoint.qy, False, sides.south)
    sample = k // samples.every
    if k % samples.every == 0 and sample < samples.observed.shape[0]:
        for gauge in range(samples.rows.size):
            j, i = samples.rows[gauge], samples.columns[gauge]
            difference = before.eta[j, i] - samples.observed[sample, gauge]
            adjoint.eta[j, i] += samples.weight * difference
