"""What is wrong on one rank is refused on all of them: no rank is left waiting."""

import numpy as np
import pytest
from basins import SHAPE, SPACING, basin, whole_fields

from adjoint.errors import ArgumentError
from solvers import Gauges, Grid, ShallowWater


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bathymetry", np.zeros((3, 3)), "shape"),
        ("friction", -1.0, "negative"),
        ("elevation", np.nan, "finite"),
    ],
)
def test_a_field_that_is_wrong_on_the_last_rank(comm, name, value, message):
    with Grid(SHAPE, SPACING, comm) as grid:
        parts = {key: grid.scatter(field) for key, field in whole_fields().items()}
        if comm.rank == comm.size - 1:
            parts[name] = value
        with pytest.raises(ArgumentError, match=message):
            ShallowWater(grid, **parts)


def test_a_gauge_on_land(comm):
    with pytest.raises(ArgumentError, match="on land"):
        basin(comm, gauges=Gauges([(2, 2), (5, 8)]))


def test_a_domain_without_water(comm):
    with pytest.raises(ArgumentError, match="no water"):
        basin(comm, minimum_depth=1e5)


def test_a_control_moved_out_of_range_on_the_last_rank(comm):
    stepper = basin(comm)
    if comm.rank == comm.size - 1:
        stepper.controls["bathymetry"][-1, -1] = -7
    with pytest.raises(ArgumentError, match="deep"):
        stepper.start()
    stepper.grid.free()


def test_too_deep_for_the_time_step_on_one_rank(comm):
    stepper = basin(comm)
    if comm.rank == 0:
        stepper.controls["bathymetry"][-1, -1] = 1e6
    with pytest.raises(ArgumentError, match="not stable"):
        stepper.start()
    stepper.grid.free()
