"""A hump of water leaves through open sides in the time that a wave needs to cross twice."""

import numpy as np
import pytest

from solvers import Grid, ShallowWater

CELLS, SPACING, DEPTH, GRAVITY = 40, 1000.0, 100.0, 9.81


def energy(solver):
    eta, qx, qy = (solver.state[name] for name in ("eta", "qx", "qy"))
    return float((GRAVITY * eta**2 + (qx**2 + qy**2) / DEPTH).sum())


def energy_left(hump, open_sides):
    """Return the share of the energy that remains after two crossings."""
    solver = ShallowWater(
        Grid(hump.shape, (SPACING, SPACING)),
        bathymetry=DEPTH,
        elevation=hump,
        friction=0.0,
        open_sides=open_sides,
    )
    solver.start()
    before = energy(solver)
    crossing = CELLS * SPACING / np.sqrt(GRAVITY * DEPTH)
    solver.advance(0, int(2 * crossing / solver.time_step))
    return energy(solver) / before


def test_a_round_hump_leaves_through_all_sides():
    y, x = np.indices((CELLS, CELLS)) - CELLS / 2 + 0.5
    hump = 0.01 * np.exp(-(x**2 + y**2) / 20)
    assert energy_left(hump, ("west", "east", "south", "north")) < 0.01
    assert energy_left(hump, ()) > 0.9


@pytest.mark.parametrize("side", ["west", "east", "south", "north"])
def test_a_ridge_leaves_head_on(side):
    x = np.arange(CELLS) - CELLS / 2 + 0.5
    ridge = np.tile(0.01 * np.exp(-(x**2) / 20), (CELLS, 1))
    if side in ("south", "north"):
        ridge = np.ascontiguousarray(ridge.T)
    # One half leaves directly, the other after reflection at the opposite side.
    assert energy_left(ridge, (side,)) < 1e-3
