"""`simulate` returns the elevation at the gauges, and the cost is its weighted misfit."""

import numpy as np
import pytest
from basins import CELLS, EVERY, NUM_STEPS, basin, observed
from stepper_by_hand import cost_by_hand, gradient_by_hand

from solvers import Gauges


@pytest.fixture
def series():
    return basin().simulate(NUM_STEPS)


def test_series_holds_the_elevation_of_every_sample(series):
    stepper = basin()
    stepper.start()
    assert series.shape == (NUM_STEPS // EVERY, len(CELLS))
    for index, row in enumerate(series):
        assert [stepper.state["eta"][j + 2, i + 2] for j, i in CELLS] == list(row)
        stepper.advance(index * EVERY, (index + 1) * EVERY)


def test_cost_is_the_sum_over_samples(series):
    stepper = basin()
    expected = stepper.time_step * EVERY * ((series - observed()) ** 2).sum() / (2 * 0.3**2)
    assert cost_by_hand(stepper, NUM_STEPS) == pytest.approx(expected, rel=1e-14)


def test_a_model_that_agrees_with_its_observations_has_no_cost_and_no_gradient(series):
    twin = basin(gauges=Gauges(CELLS, series, every=EVERY))
    cost, gradient = gradient_by_hand(twin, NUM_STEPS)
    assert cost == 0
    assert not any(field.any() for field in gradient.values())


def test_a_run_that_ends_between_two_samples(series):
    np.testing.assert_array_equal(basin().simulate(NUM_STEPS - 1), series)
    assert basin().simulate(1).shape == (1, len(CELLS))


def test_without_observations_there_is_no_cost():
    assert cost_by_hand(basin(gauges=None), NUM_STEPS) == 0
    assert cost_by_hand(basin(gauges=Gauges(CELLS)), NUM_STEPS) == 0
