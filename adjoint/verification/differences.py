"""Derivatives by extrapolated central differences, each with an estimate of its error.

Compared with a gradient ``g`` along a direction ``d`` is the remainder ``f(t) - <g, x(t) - x(0)>``,
whose derivative at ``t = 0`` is zero if ``g`` is right. ``x(t)`` is what ``x + t d`` is rounded to,
so that rounding it costs no accuracy in single precision.

Central differences with steps ``h`` that shrink by a constant ratio are extrapolated to ``h = 0``
in a tableau. The error of an entry is estimated by its distance from the two entries that it was
made of (Ridders 1982, doi:10.1016/S0141-1195(82)80057-0), plus the round-off that it inherits. The
entry with the smallest error is taken. So agreement by accident never makes the estimate smaller
than round-off.

How much round-off a function has is measured: nine neighbouring values differ from a quadratic
polynomial by noise alone, as in ECNoise (Moré and Wild 2011, doi:10.1137/100786125).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from adjoint.verification.verdicts import Comparison

__all__ = ["Precision", "Sample", "Samples", "compare", "measure_noise"]

RATIO = 4.0
"""Between two steps: each column of the tableau gains a factor of 16."""

MIN_ROWS = 3
"""Steps before a tableau is believed: fewer could agree where the function happens to be flat."""

MAX_ROWS = 10
"""Steps at most: the last is 260,000 times smaller than the first."""

NEIGHBOURS = np.arange(-4.0, 5.0)
"""Where round-off is measured, in units of `Precision.spacing`."""

NOISE_FACTOR = 3.0
"""Standard deviations of round-off in an error: the deviation itself is known to a factor of 2."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Steps and accuracies that follow from the relative spacing of the numbers computed with."""

    epsilon: float

    @property
    def first_step(self) -> float:
        """The largest step: of sixth order, truncation and round-off are then about equal."""
        return self.epsilon ** (1 / 8)

    @property
    def spacing(self) -> float:
        """The distance of neighbouring values: many roundings, no curvature."""
        return self.epsilon ** (3 / 4)

    @property
    def aim(self) -> float:
        """The relative error at which no smaller step is tried: half of the digits."""
        return self.epsilon ** (1 / 2)

    @property
    def floor(self) -> float:
        """The smallest relative error that is claimed: solvers inside a step have tolerances."""
        return self.aim / 10

    @property
    def limit(self) -> float:
        """The relative error above which nothing can be said: a quarter of the digits."""
        return self.epsilon ** (1 / 4)


@dataclass(frozen=True, slots=True)
class Samples:
    """Several functions at one point of a direction, and their change by the gradients."""

    values: NDArray[np.float64]
    predicted: NDArray[np.float64]

    @property
    def remainders(self) -> NDArray[np.float64]:
        """What the gradients do not explain."""
        return self.values - self.predicted

    @property
    def are_finite(self) -> bool:
        """Whether all functions are defined here."""
        return bool(np.isfinite(self.values).all())


Sample = Callable[[float], Samples]


def measure_noise(sample: Sample, precision: Precision) -> tuple[float, NDArray[np.float64]]:
    """Return the largest step at which all functions are finite, and their round-off there.

    That is the standard deviation; it is infinite if no step is small enough. Takes nine samples.
    """
    step = precision.first_step
    for _ in range(MAX_ROWS):
        near = [sample(step + i * precision.spacing) for i in NEIGHBOURS]
        if all(samples.are_finite for samples in near):
            return step, _deviations(near, precision)
        step /= RATIO
    return step, np.full(len(near[0].values), inf)


def compare(
    sample: Sample,
    slopes: Sequence[float],
    roundings: Sequence[float],
    first_step: float,
    noise: NDArray[np.float64],
    precision: Precision,
) -> list[Comparison]:
    """Compare the derivative of each function at zero with the slope that its gradient gives.

    Takes seven samples of a smooth function, and at most 21.

    Parameters
    ----------
    sample
        Returns the functions at a point of the direction.
    slopes, roundings
        The derivatives by the gradients, and the round-off in these.
    first_step, noise
        Of `measure_noise`.
    precision
        Of the numbers computed with.
    """
    base = sample(0.0)
    tableaus = [_Tableau(*given, precision) for given in zip(slopes, noise, roundings, strict=True)]
    for row in range(MAX_ROWS):
        step = first_step / RATIO**row
        plus, minus = sample(step), sample(-step)
        if not (plus.are_finite and minus.are_finite):
            continue
        difference = (plus.remainders - minus.remainders) / (2 * step)
        rest = np.abs(plus.remainders - base.remainders)
        is_constant = (plus.values == base.values) & (minus.values == base.values)
        for tableau, *given in zip(tableaus, difference, rest, is_constant, strict=True):
            tableau.add(step, *map(float, given))
        if all(tableau.is_done for tableau in tableaus):
            break
    return [tableau.result for tableau in tableaus]


def _deviations(near: Sequence[Samples], precision: Precision) -> NDArray[np.float64]:
    """Return the deviation of each function from a quadratic through its neighbouring values."""
    values = np.array([samples.values for samples in near])
    remainders = np.array([samples.remainders for samples in near])
    basis = np.linalg.qr(np.vander(NEIGHBOURS, 3))[0]
    rest = remainders - basis @ (basis.T @ remainders)
    measured = np.sqrt((rest**2).sum(axis=0) / (len(near) - 3))
    # Few different values: the result is rounded so coarsely that neighbours do not show it.
    is_coarse = np.array([len(set(column)) < len(near) / 2 for column in values.T])
    unit = np.where(is_coarse, precision.epsilon, np.finfo(float).eps)
    return np.maximum(measured, unit * np.abs(values).max(axis=0))


@dataclass(slots=True)
class _Tableau:
    """The extrapolation of one function's central differences."""

    slope: float
    noise: float
    rounding: float
    precision: Precision
    rows: int = 0
    best: float = nan
    error: float = inf
    rests: list[tuple[float, float]] = field(default_factory=list)
    """Step and remainder of each row in which the remainder is well above round-off."""
    is_constant: bool = True
    previous: list[tuple[float, float]] = field(default_factory=list)
    """The last row: each entry with its round-off."""
    next_noise: float = inf

    def add(self, step: float, difference: float, rest: float, is_constant: float) -> None:
        """Add the row of a step."""
        self.rows += 1
        self.is_constant = self.is_constant and bool(is_constant)
        if rest > 10 * self.noise:
            self.rests.append((step, rest))
        inherited = NOISE_FACTOR * self.noise / (sqrt(2) * step)
        self.next_noise = RATIO * inherited
        row = [(difference, inherited)]
        factor = 1.0
        for left, left_noise in self.previous:
            factor *= RATIO**2
            above, above_noise = row[-1]
            entry = above + (above - left) / (factor - 1)
            entry_noise = (factor * above_noise + left_noise) / (factor - 1)
            error = max(abs(entry - above), abs(entry - left)) + entry_noise
            row.append((entry, entry_noise))
            if error < self.error:
                self.best, self.error = entry, error
        self.previous = row

    @property
    def has_no_influence(self) -> bool:
        """Whether no value has changed, and none should have."""
        return self.rows > 0 and self.is_constant and self.slope == 0

    @property
    def is_done(self) -> bool:
        """Whether a smaller step is not needed, or would not help."""
        if self.has_no_influence:
            return True
        scale = max(abs(self.slope), abs(self.slope + self.best))
        is_enough = self.error <= self.precision.aim * scale or self.error <= self.next_noise
        # Of a wrong derivative the order is shown too: it nears 1 more slowly.
        is_clear = self.result.verdict != "wrong" or abs(self._order - 1) < 0.05
        return self.rows >= MIN_ROWS and is_enough and is_clear

    @property
    def result(self) -> Comparison:
        """What the tableau says."""
        if self.has_no_influence:
            return Comparison(0.0, 0.0, 0.0, nan, self.precision.limit)
        by_differences = self.slope + self.best
        scale = max(abs(by_differences), abs(self.slope))
        error = max(self.error + self.rounding, self.precision.floor * scale)
        return Comparison(by_differences, self.slope, error, self._order, self.precision.limit)

    @property
    def _order(self) -> float:
        """The order of the remainder between the two smallest steps at which it is seen."""
        if len(self.rests) < 2 or not isfinite(self.noise):
            return nan
        (big_step, big), (small_step, small) = self.rests[-2:]
        return log(big / small) / log(big_step / small_step)
