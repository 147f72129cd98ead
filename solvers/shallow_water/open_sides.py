"""Radiation of waves through open sides of the domain, and its transpose, compiled.

The flux out of a cell at an open side is ``sqrt(g D) eta``: the speed of a long wave times the
elevation, both after the step.
"""

from typing import Any

import numpy as np

from solvers.shallow_water.problem import GHOSTS, Array, Fields, Problem, Totals, compiled

__all__ = ["absorb", "radiate"]


@compiled
def _outflow(j: int, i: int, eta: Array, problem: Problem) -> Any:
    """Return the flux out of a cell at an open side: the wave speed times the elevation."""
    here, medium = eta[j, i], problem.medium
    speed = np.sqrt(problem.constants.gravity * (here + medium.depth[j, i]))
    return medium.wet[j, i] * here * speed


@compiled
def radiate(after: Fields, problem: Problem) -> None:
    """Set the fluxes through open sides, from the elevation of the same state."""
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
def _outflow_slopes(j: int, i: int, before: Fields, problem: Problem) -> tuple[Any, Any]:
    """Return the derivatives of the outflow with respect to elevation and depth."""
    eta, qx, qy = before
    c, medium = problem.constants, problem.medium
    outflow_x, outflow_y = qx[j, i] - qx[j, i - 1], qy[j, i] - qy[j - 1, i]
    elevation = eta[j, i] - c.courant_x * outflow_x - c.courant_y * outflow_y
    speed = np.sqrt(c.gravity * (elevation + medium.depth[j, i]))
    by_depth = medium.wet[j, i] * c.half * c.gravity * elevation / speed
    return medium.wet[j, i] * speed + by_depth, by_depth


@compiled
def _absorb_row(j: int, before: Fields, adjoint: Fields, problem: Problem, totals: Totals) -> None:
    """Transpose the radiation through the west and east sides in row `j`."""
    west, east, m = GHOSTS, before.eta.shape[1] - GHOSTS - 1, totals.margin
    if problem.open_sides.west:
        by_elevation, by_depth = _outflow_slopes(j, west, before, problem)
        adjoint.eta[j, west] -= by_elevation * adjoint.qx[j, west - 1]
        totals.depth[j - m, west - m] -= by_depth * adjoint.qx[j, west - 1]
        adjoint.qx[j, west - 1] = 0
    if problem.open_sides.east:
        by_elevation, by_depth = _outflow_slopes(j, east, before, problem)
        adjoint.eta[j, east] += by_elevation * adjoint.qx[j, east]
        totals.depth[j - m, east - m] += by_depth * adjoint.qx[j, east]
        adjoint.qx[j, east] = 0


@compiled
def _absorb_column(
    i: int, before: Fields, adjoint: Fields, problem: Problem, totals: Totals
) -> None:
    """Transpose the radiation through the south and north sides in column `i`."""
    south, north, m = GHOSTS, before.eta.shape[0] - GHOSTS - 1, totals.margin
    if problem.open_sides.south:
        by_elevation, by_depth = _outflow_slopes(south, i, before, problem)
        adjoint.eta[south, i] -= by_elevation * adjoint.qy[south - 1, i]
        totals.depth[south - m, i - m] -= by_depth * adjoint.qy[south - 1, i]
        adjoint.qy[south - 1, i] = 0
    if problem.open_sides.north:
        by_elevation, by_depth = _outflow_slopes(north, i, before, problem)
        adjoint.eta[north, i] += by_elevation * adjoint.qy[north, i]
        totals.depth[north - m, i - m] += by_depth * adjoint.qy[north, i]
        adjoint.qy[north, i] = 0


@compiled
def absorb(before: Fields, adjoint: Fields, problem: Problem, totals: Totals) -> None:
    """Transpose `radiate`: move the adjoint of the boundary fluxes to elevation and depth."""
    for j in range(GHOSTS, before.eta.shape[0] - GHOSTS):
        _absorb_row(j, before, adjoint, problem, totals)
    for i in range(GHOSTS, before.eta.shape[1] - GHOSTS):
        _absorb_column(i, before, adjoint, problem, totals)
