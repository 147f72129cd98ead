"""The initial fluxes of `solvers.shallow_water.model`, from rest, and the drag coefficient.

Fluxes are half a step ahead of the elevation, so they start with half a step of the pressure
gradient: ``qx = -(dt/2) g Dx deta/dx``. This runs once per evaluation, as array expressions on
padded arrays whose ghost cells are valid.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.shallow_water.problem import GHOSTS, Constants, Medium

__all__ = ["drag_coefficient", "drag_transposed", "kick", "kick_transposed"]

Array = NDArray[Any]

HERE = (slice(GHOSTS, -GHOSTS), slice(GHOSTS, -GHOSTS))
EAST = (slice(GHOSTS, -GHOSTS), slice(GHOSTS + 1, 1 - GHOSTS))
NORTH = (slice(GHOSTS + 1, 1 - GHOSTS), slice(GHOSTS, -GHOSTS))


def drag_coefficient(friction: Array, depth: Array, gravity: Any) -> Array:
    """Return Manning's drag, ``g n^2 / h^(1/3)``."""
    return gravity * friction**2 / _cube_root(depth)


def drag_transposed(
    drag_bar: Array, friction: Array, depth: Array, gravity: Any
) -> tuple[Array, Array]:
    """Return the adjoints of friction and depth, given the adjoint of the drag."""
    drag = drag_coefficient(friction, depth, gravity)
    return drag_bar * (2 * gravity * friction / _cube_root(depth)), -drag_bar * drag / (3 * depth)


def kick(eta: Array, medium: Medium, c: Constants) -> tuple[Array, Array]:
    """Return the initial fluxes through x and y faces; their ghost cells are zero."""
    fluxes = []
    for beyond, pressure in ((EAST, c.pressure_x), (NORTH, c.pressure_y)):
        open_face, total, rise = _face(eta, medium, beyond, c)
        flux = np.zeros_like(eta)
        flux[HERE] = -c.half * pressure * open_face * total * rise
        fluxes.append(flux)
    return fluxes[0], fluxes[1]


def kick_transposed(
    eta: Array, qx_bar: Array, qy_bar: Array, medium: Medium, c: Constants
) -> tuple[Array, Array]:
    """Return the adjoints of elevation and depth, given those of the initial fluxes.

    Ghost cells of the result hold contributions to cells that other ranks own.
    """
    eta_bar, depth_bar = np.zeros_like(eta), np.zeros_like(eta)
    for beyond, pressure, flux in ((EAST, c.pressure_x, qx_bar), (NORTH, c.pressure_y, qy_bar)):
        open_face, total, rise = _face(eta, medium, beyond, c)
        push = -c.half * pressure * open_face * flux[HERE]
        for cells, slope in ((HERE, -total), (beyond, total)):
            eta_bar[cells] += push * (c.half * rise + slope)
            depth_bar[cells] += push * c.half * rise
    return eta_bar, depth_bar


def _cube_root(depth: Array) -> Array:
    return depth ** (1 / 3) if np.iscomplexobj(depth) else np.cbrt(depth)


def _face(
    eta: Array, medium: Medium, beyond: tuple[slice, slice], c: Constants
) -> tuple[Array, Array, Array]:
    """Return, for each face: whether it is open, its depth, the rise of the surface across it."""
    total = eta[HERE] + medium.depth[HERE] + eta[beyond] + medium.depth[beyond]
    return medium.wet[HERE] * medium.wet[beyond], c.half * total, eta[beyond] - eta[HERE]
