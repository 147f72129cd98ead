"""The 90 % interval of a median holds the true one in about 90 % of all samples, and says when not.

Bootstrap intervals of few values are a little short of that; those of fewer than five decide
nothing.
"""

import numpy as np
import pytest

pytest.importorskip("scipy")

from plan_campaign.statistics import MIN_JUDGED, interval


@pytest.mark.parametrize("count", [MIN_JUDGED, 12])
def test_coverage(count, rng):
    found = [interval(rng.lognormal(0, 0.1, count).tolist()) for _ in range(300)]
    assert 0.82 <= np.mean([each.low <= 1 <= each.high for each in found]) <= 0.99


def test_of_equal_values_it_is_a_point():
    found = interval([1.1] * 5)
    assert (found.low, found.median, found.high) == (1.1, 1.1, 1.1)


def test_a_verdict_needs_a_narrow_interval_or_one_above_the_bound():
    assert interval([1.0, 1.01, 1.0, 1.01, 1.0]).verdict(1.05) == "kept"
    assert interval([1.1, 1.11, 1.1, 1.11, 1.1]).verdict(1.05) == "missed"
    assert interval([1.1, 1.3, 1.2, 1.4, 1.1]).verdict(1.05) == "missed"
    assert interval([0.7, 1.0, 0.9, 1.3, 1.1]).verdict(1.05) == "not decided"


@pytest.mark.parametrize("count", range(MIN_JUDGED))
def test_few_values_decide_nothing(count):
    assert interval([2.0] * count).verdict(1.05) == "not decided"
