"""Gauges and sensors refuse values out of range, and find those in a rank's part of a grid."""

import numpy as np
import pytest

from adjoint.errors import ArgumentError
from solvers import Gauges, Sensors

CELLS = [(0, 0), (4, 6), (3, 2), (0, 6), (3, 2)]
LEVELS = np.arange(15.0).reshape(3, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": np.inf}, "sigma"),
        ({"observed": LEVELS[:, :-1]}, "any number of rows.*5 columns"),
        ({"observed": LEVELS[0]}, "any number of rows.*5 columns"),
        ({"observed": LEVELS * np.nan}, "finite"),
    ],
    ids=["every", "sigma", "infinite sigma", "columns", "one axis", "nan"],
)
def test_gauges_refuse(options, message):
    with pytest.raises(ArgumentError, match=message):
        Gauges(CELLS, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -1.0}, "sigma"),
        ({"observed": LEVELS}, "must have 2 rows.*5 columns"),
        ({"observed": LEVELS[:2] + np.inf}, "finite"),
    ],
    ids=["sigma", "rows", "infinite"],
)
def test_sensors_refuse(options, message):
    with pytest.raises(ArgumentError, match=message):
        Sensors(CELLS, [0.1, 0.2], **options)


@pytest.mark.parametrize("cell", [(5, 0), (0, 7), (-1, 0), (1,), (1, 1, 1)])
def test_a_cell_outside_the_grid_is_refused(cell):
    gauges = Gauges([(1, 1), cell])
    with pytest.raises(ArgumentError, match="outside the grid of 5 x 7 cells"):
        gauges.require_within((5, 7))
    Gauges(CELLS).require_within((5, 7))


def test_every_instrument_is_found_by_the_rank_that_has_its_cell():
    whole = np.arange(35).reshape(5, 7)
    found = {}
    for rows in (slice(0, 3), slice(3, 5)):
        for columns in (slice(0, 2), slice(2, 7)):
            mine, places = Sensors(CELLS, []).local((rows, columns))
            values = whole[rows, columns][places]
            found |= dict(zip(mine.tolist(), values.tolist(), strict=True))
    assert found == {index: whole[cell] for index, cell in enumerate(CELLS)}


def test_a_cost_needs_samples_up_to_its_last_step():
    gauges = Gauges(CELLS, LEVELS, every=4)
    gauges.require_samples(12)
    with pytest.raises(ArgumentError, match="step 12 is beyond the last"):
        gauges.require_samples(13)
    Gauges(CELLS).require_samples(10**6)
