"""The campaign's best rival is that of the odd rounds; only the even ones say how good it is.

If nine rivals are equally fast, the least of nine noisy medians is too small: judged in the rounds
in which it was picked, a plan that is as fast as all of them would seem slower.
"""

import numpy as np
import pytest

pytest.importorskip("scipy")

from plan_campaign.statistics import judge


def test_rounds_count_from_one():
    judged = judge(
        [2.0, 3.0, 2.0, 3.0], {"odd": [1.0, 3.0, 1.0, 3.0], "even": [2.0, 1.0, 2.0, 1.0]}
    )
    assert judged.rival == "odd"
    assert judged.ratio.median == 1.0
    assert judged.ratio.count == 2


def test_only_ratios_within_a_round_matter():
    slow_minute = np.array([1.0, 1.0, 30.0, 30.0, 1.0, 1.0, 1.0, 1.0, 30.0, 30.0])
    judged = judge(1.2 * slow_minute, {"fast": 1.0 * slow_minute, "slow": 1.1 * slow_minute})
    assert judged.rival == "fast"
    assert judged.ratio.median == pytest.approx(1.2)
    assert judged.ratio.is_narrow


def test_equally_fast_rivals_are_no_reproach(rng):
    means, naive = [], []
    for _ in range(200):
        planned = rng.normal(1, 0.02, 20)
        rivals = {str(k): rng.normal(1, 0.02, 20) for k in range(9)}
        means.append(judge(planned, rivals).ratio.median)
        naive.append(max(np.median(planned / taken) for taken in rivals.values()))
    assert np.mean(means) == pytest.approx(1, abs=2e-3)
    assert np.mean(naive) > 1.005
