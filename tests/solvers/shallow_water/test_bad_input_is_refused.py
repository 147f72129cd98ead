"""Arguments and controls out of range are refused with an error that names them."""

import numpy as np
import pytest
from basins import NUM_STEPS, SHAPE, basin, whole_fields

from adjoint.errors import ArgumentError
from solvers import Gauges, Grid, Halo, ShallowWater


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_step": 500.0}, "not stable"),
        ({"time_step": -1.0}, "not stable"),
        ({"time_step": float("nan")}, "not stable"),
        ({"viscosity": 1e6}, "viscosity"),
        ({"viscosity": -1.0}, "viscosity"),
        ({"gravity": 0.0}, "gravity"),
        ({"coriolis": float("inf")}, "coriolis"),
        ({"minimum_depth": 0.0}, "minimum_depth"),
        ({"minimum_depth": 1e4}, "no water"),
        ({"open_sides": ("up",)}, "up"),
        ({"dtype": np.int64}, "dtype"),
        ({"gauges": Gauges([(5, 8)])}, "on land"),
        ({"gauges": Gauges([(5, 99)])}, "outside"),
        ({"gauges": Gauges([(-1, 3)])}, "outside"),
    ],
    ids=str,
)
def test_option(options, message):
    with pytest.raises(ArgumentError, match=message):
        basin(**options)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("elevation", np.zeros((3, 3)), "shape"),
        ("bathymetry", np.full(SHAPE, np.nan), "no water"),
        ("bathymetry", np.full(SHAPE, 1j), "real"),
        ("friction", np.full(SHAPE, np.inf), "finite"),
        ("friction", np.full(SHAPE, -0.1), "negative"),
        ("elevation", np.full(SHAPE, -1e3), "deep"),
    ],
)
def test_field(name, value, message):
    with pytest.raises(ArgumentError, match=message):
        ShallowWater(Grid(SHAPE, (1e3, 1e3)), **(whole_fields() | {name: value}))


@pytest.mark.parametrize(("value", "message"), [(-50.0, "deep"), (1e5, "not stable")])
def test_controls_moved_out_of_range_are_refused_at_the_start(value, message):
    stepper = basin()
    stepper.controls["bathymetry"][2, 2] = value
    with pytest.raises(ArgumentError, match=message):
        stepper.start()


def test_a_cost_beyond_the_last_observation():
    stepper = basin()
    stepper.start()
    with pytest.raises(ArgumentError, match="beyond the last"):
        stepper.advance(0, NUM_STEPS + 1, cost=0.0)
    with pytest.raises(ArgumentError, match="beyond the last"):
        stepper.record(0, NUM_STEPS + 1, cost=0.0, reach_stop=False)


def test_grid():
    with pytest.raises(ArgumentError, match="empty"):
        Grid((0, 4), (1.0, 1.0))
    with pytest.raises(ArgumentError, match="spacing"):
        Grid((4, 4), (1.0, 0.0))
    with pytest.raises(ArgumentError, match="shape"):
        Grid((4, 4), (1.0, 1.0)).gather(np.zeros((3, 4)))
    with pytest.raises(ArgumentError, match="field"):
        Grid((4, 4), (1.0, 1.0)).scatter(np.zeros((3, 4)))
    assert Halo(Grid((1, 1), (1.0, 1.0)), 2).width == 2  # alone, a domain may be thin
