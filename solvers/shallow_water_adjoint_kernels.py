"""The transpose of one step of `solvers.shallow_water`, compiled.

It is written as *gathers*: the adjoint of a quantity is collected from the adjoints of all that
was computed from it. Like the step it goes up row by row and keeps rings of rows, so that the
adjoint state is replaced in its own memory in one pass. With row ``t`` just read,

- the step is computed again up to the velocities, from the state before it (`read_row`,
  `velocity_x_row`, `velocity_y_row` of the step itself);
- row ``t - 2``: the adjoints of what the two momentum equations are made of (`_momentum_x_row`,
  `_momentum_y_row`), from the adjoint of the new fluxes;
- row ``t - 3``: from those the adjoint of the velocities, and with it that of the old fluxes
  (`_flux_x_row`, `_flux_y_row`), then that of the new elevation (`_elevation_row`), and what it
  adds to the old fluxes by the continuity equation (`_continuity_row`).

Ghost cells of the adjoint are zero before a step; afterwards they hold what belongs to the rank
that owns the cell.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.shallow_water_kernels import (
    GHOSTS,
    RING,
    Constants,
    Medium,
    OpenSides,
    Rows,
    Samples,
    clear_ghosts,
    compiled,
    read_row,
    velocity_x_row,
    velocity_y_row,
)

__all__ = ["AdjointRows", "close_step", "pull_back_step"]

Array = NDArray[Any]


class AdjointRows(NamedTuple):
    """Rings of rows of adjoints: row ``j`` is at ``j % RING``. Zero beyond the rank's own faces.

    Names with ``x`` belong to x faces, with ``y`` to y faces; see the step for what they name.
    """

    explicit_x: Array
    across_x: Array
    velocity_x: Array
    """Of the velocity, as far as friction needs it."""
    total_x: Array
    """Of the depth, but for the velocity that is made with it."""
    push_x: Array
    """Of the elevation to the west, by the pressure; its negative of that to the east."""
    drag_x: Array
    explicit_y: Array
    across_y: Array
    velocity_y: Array
    total_y: Array
    push_y: Array
    drag_y: Array
    depth_x: Array
    """Of the depth at x faces, all of it."""
    depth_y: Array
    depth: Array
    """Of the depth of cells."""
    drag: Array

    @classmethod
    def allocate(cls, columns: int, dtype: Any) -> "AdjointRows":
        """Make rings of rows of so many columns."""
        return cls(*(np.zeros((RING, columns), dtype) for _ in cls._fields))


@compiled
def _momentum_x_row(
    j: int, flux: Array, medium: Medium, rows: Rows, qx_old: Array, c: Constants, out: AdjointRows
) -> None:
    """The adjoints of the parts of the momentum equation at the x faces of row `j`.

    `flux` is the adjoint of the fluxes after the step.
    """
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    depth, drag, wet = medium
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
    j: int, flux: Array, medium: Medium, rows: Rows, qy_old: Array, c: Constants, out: AdjointRows
) -> None:
    """The adjoints of the parts of the momentum equation at the y faces of row `j`."""
    h, north, south = j % RING, (j + 1) % RING, (j - 1) % RING
    depth, drag, wet = medium
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
    j: int, qx: Array, qy: Array, rows: Rows, made: AdjointRows, c: Constants, flux: Array
) -> None:
    """The adjoint of the old fluxes through the x faces of row `j`, but for the continuity."""
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
    j: int, qx: Array, qy: Array, rows: Rows, made: AdjointRows, c: Constants, flux: Array
) -> None:
    """The adjoint of the old fluxes through the y faces of row `j`, but for the continuity."""
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
    """The adjoint of the new elevation in row `j`, and of the depth and the drag there."""
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
def _continuity_row(j: int, eta: Array, qx: Array, qy: Array, c: Constants) -> None:
    """Add to the adjoint of the fluxes what the elevation of row `j` was made from."""
    last = eta.shape[1] - 1
    for i in range(last):
        qx[j, i] += c.courant_x * (eta[j, i + 1] - eta[j, i])
    qx[j, last] -= c.courant_x * eta[j, last]
    for i in range(eta.shape[1]):
        qy[j - 1, i] += c.courant_y * (eta[j, i] - eta[j - 1, i])


@compiled
def _collect_row(j: int, row: Array, margin: int, total: Array) -> None:
    """Add a row to an accumulator that leaves out so many cells on every side."""
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
    j: int,
    qx_bar: Array,
    qy_bar: Array,
    medium: Medium,
    rows: Rows,
    qx: Array,
    qy: Array,
    c: Constants,
    made: AdjointRows,
) -> None:
    if GHOSTS <= j < qx.shape[0] - GHOSTS:
        _momentum_x_row(j, qx_bar, medium, rows, qx, c, made)
        _momentum_y_row(j, qy_bar, medium, rows, qy, c, made)
    else:
        _clear_row(j, made)


@compiled
def _absorb(
    j: int,
    i: int,
    flux: Any,
    eta: Array,
    qx: Array,
    qy: Array,
    eta_bar: Array,
    medium: Medium,
    c: Constants,
    margin: int,
    depth_total: Array,
) -> None:
    """Transpose the radiation from cell ``[j, i]``: `flux` is the adjoint of what flows out."""
    elevation = (
        eta[j, i]
        - c.courant_x * (qx[j, i] - qx[j, i - 1])
        - c.courant_y * (qy[j, i] - qy[j - 1, i])
    )
    speed = np.sqrt(c.gravity * (elevation + medium.depth[j, i]))
    deepened = flux * medium.wet[j, i] * c.half * c.gravity * elevation / speed
    eta_bar[j, i] += flux * medium.wet[j, i] * speed + deepened
    depth_total[j - margin, i - margin] += deepened


@compiled
def _absorb_sides(
    eta: Array,
    qx: Array,
    qy: Array,
    eta_bar: Array,
    qx_bar: Array,
    qy_bar: Array,
    medium: Medium,
    open_sides: OpenSides,
    c: Constants,
    margin: int,
    depth_total: Array,
) -> None:
    """Transpose the radiation through open sides."""
    low, top, right = GHOSTS, eta.shape[0] - GHOSTS - 1, eta.shape[1] - GHOSTS - 1
    for j in range(low, top + 1):
        if open_sides.west:
            flux, qx_bar[j, low - 1] = -qx_bar[j, low - 1], 0
            _absorb(j, low, flux, eta, qx, qy, eta_bar, medium, c, margin, depth_total)
        if open_sides.east:
            flux, qx_bar[j, right] = qx_bar[j, right], 0
            _absorb(j, right, flux, eta, qx, qy, eta_bar, medium, c, margin, depth_total)
    for i in range(low, right + 1):
        if open_sides.south:
            flux, qy_bar[low - 1, i] = -qy_bar[low - 1, i], 0
            _absorb(low, i, flux, eta, qx, qy, eta_bar, medium, c, margin, depth_total)
        if open_sides.north:
            flux, qy_bar[top, i] = qy_bar[top, i], 0
            _absorb(top, i, flux, eta, qx, qy, eta_bar, medium, c, margin, depth_total)


@compiled
def pull_back_step(
    eta: Array,
    qx: Array,
    qy: Array,
    eta_bar: Array,
    qx_bar: Array,
    qy_bar: Array,
    medium: Medium,
    open_sides: OpenSides,
    rows: Rows,
    made: AdjointRows,
    c: Constants,
    margin: int,
    depth_total: Array,
    drag_total: Array,
) -> None:
    """Replace the adjoint (``_bar``) by the transposed derivative of a step from the given state.

    The derivatives with respect to depth and drag are added to `depth_total` and `drag_total`,
    which leave out `margin` cells on every side of the padded arrays.
    """
    num_rows = eta.shape[0]
    _absorb_sides(
        eta, qx, qy, eta_bar, qx_bar, qy_bar, medium, open_sides, c, margin, depth_total
    )  # fmt: skip
    _clear_row(0, rows)
    for i in range(eta.shape[1]):
        rows.qy[0, i] = qy[0, i]
    for t in range(1, num_rows + GHOSTS + 1):
        if t < num_rows:
            read_row(t, eta, qx, qy, rows, c)
            velocity_x_row(t, medium, rows, c)
        if 1 < t < num_rows:
            velocity_y_row(t - 1, medium, rows, c)
        if t > 1:
            _momentum_rows(t - 2, qx_bar, qy_bar, medium, rows, qx, qy, c, made)
        j = t - 3
        if 0 < j < num_rows - 1:
            _flux_x_row(j, qx, qy, rows, made, c, qx_bar)
            _flux_y_row(j, qx, qy, rows, made, c, qy_bar)
        if j > 0:
            _elevation_row(j, made, c, eta_bar)
            _continuity_row(j, eta_bar, qx_bar, qy_bar, c)
            _collect_row(j, made.depth, margin, depth_total)
            _collect_row(j, made.drag, margin, drag_total)
    for i in range(eta.shape[1]):
        qy_bar[num_rows - 1, i] -= c.courant_y * eta_bar[num_rows - 1, i]


@compiled
def close_step(
    eta: Array,
    eta_bar: Array,
    qx_bar: Array,
    qy_bar: Array,
    open_sides: OpenSides,
    samples: Samples,
    k: int,
) -> None:
    """Clear the ghost cells of the adjoint, and add the derivative of the cost of step `k`."""
    clear_ghosts(eta_bar, False, False)
    clear_ghosts(qx_bar, open_sides.west, False)
    clear_ghosts(qy_bar, False, open_sides.south)
    if k % samples.every == 0:
        for gauge in range(samples.rows.size):
            j, i = samples.rows[gauge], samples.columns[gauge]
            difference = eta[j, i] - samples.observed[k // samples.every, gauge]
            eta_bar[j, i] += samples.weight * difference
