"""Which times count, and what they say: ratios within a round, medians, intervals, verdicts.

A ratio is of two times of the same round, so that a slow minute touches both. The interval of the
median ratio is a bootstrap's. The best rival is picked by the odd rounds and judged by the even
ones: the least of several noisy medians is too small, and would be held against the plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

CONFIDENCE = 0.9
MAX_WIDTH = 0.04
"""Width of an interval, in parts of the median, above which nothing is decided."""
MIN_JUDGED = 5
"""The range of fewer ratios holds their median in less than 90 % of all cases."""
RESAMPLES = 2000
VERDICTS = ("kept", "missed", "not decided")


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and its 90 % interval."""

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def is_narrow(self) -> bool:
        """Whether there are enough values, and they agree well enough, to decide."""
        return self.count >= MIN_JUDGED and self.high - self.low <= MAX_WIDTH * self.median

    def decides(self, bound: float) -> bool:
        """Return whether it is narrow, or on one side of a bound."""
        enough = self.count >= MIN_JUDGED
        return self.is_narrow or (enough and not self.low <= bound <= self.high)

    def verdict(self, bound: float) -> str:
        """Return "missed" if the lower end is above the bound, else "kept" or "not decided"."""
        if not self.decides(bound):
            return "not decided"
        return "missed" if self.low > bound else "kept"


@dataclass(frozen=True, slots=True)
class Judged:
    """The rival that is best by the odd rounds, and what it is beside the plan in the even ones."""

    rival: str
    ratio: Interval


def interval(values: Sequence[float]) -> Interval:
    """Return the median of some values and its bootstrap interval."""
    if len(values) < 2:
        only = float(values[0]) if values else float("nan")
        return Interval(only, 0.0, float("inf"), len(values))
    found = bootstrap(
        (values,),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(np.median(values)), float(found.low), float(found.high), len(values))


def judge(planned: Sequence[float], rivals: Mapping[str, Sequence[float]]) -> Judged:
    """Return the ratio of the plan's times to the best rival's, by round.

    Rounds count from 1. `planned` and each rival's times are by round.
    """
    times = np.asarray(planned)
    ratios = {name: times / np.asarray(taken) for name, taken in rivals.items()}
    best = max(ratios, key=lambda name: np.median(ratios[name][::2]))
    return Judged(best, interval(ratios[best][1::2].tolist()))
