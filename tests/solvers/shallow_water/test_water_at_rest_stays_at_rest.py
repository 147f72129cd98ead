"""Over real topography, water at rest with a level surface stays so, bit for bit."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from solvers import Grid, SalishSea, ShallowWater


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_nothing_moves(level):
    sea = SalishSea.load(0.5)
    grid = Grid(sea.bathymetry.shape, sea.spacing)
    solver = ShallowWater(
        grid,
        bathymetry=sea.bathymetry,
        elevation=level,
        coriolis=sea.coriolis,
        open_sides=("west", "south") if level == 0 else (),
    )
    solver.start()
    solver.advance(0, 200)
    assert solver.wet.any()
    assert not solver.wet.all()
    assert_array_equal(solver.state["eta"][2:-2, 2:-2], np.where(solver.wet, level, 0))
    assert not solver.state["qx"].any()
    assert not solver.state["qy"].any()
