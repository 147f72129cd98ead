"""The volume of water over the real topography of the Salish Sea does not change."""

import math

import numpy as np

from solvers import Grid, SalishSea, ShallowWater


def test_to_round_off():
    sea = SalishSea.load(0.5)
    grid = Grid(sea.bathymetry.shape, sea.spacing)
    row, column = np.indices(grid.shape)
    hump = np.exp(-((row - 12) ** 2 + (column - 8) ** 2) / 8.0)
    solver = ShallowWater(
        grid, bathymetry=sea.bathymetry, elevation=hump, coriolis=sea.coriolis, minimum_depth=10
    )
    solver.start()
    eta = solver.state["eta"]
    before = math.fsum(eta.ravel())
    solver.advance(0, 4000)
    assert np.abs(solver.state["qx"]).max() > 1e-3  # still moving
    assert abs(math.fsum(eta.ravel()) - before) < 1e-13 * before
