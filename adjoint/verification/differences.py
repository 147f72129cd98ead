"""Derivatives by extrapolated central differences, each with an estimate of its error.

Compared with a gradient ``g`` along a direction ``d`` is the remainder ``f(t) - <g, x(t) - x(0)>``,
whose derivative at ``t = 0`` is zero if ``g`` is right. ``x(t)`` is what ``x + t d`` is rounded to,
so that rounding it costs no accuracy in single precision.

Central differences with steps ``h`` that shrink by a constant ratio are extrapolated to ``h = 0``
in a tableau. The error of an entry is estimated by its distance from the two entries that it was
made of (Ridders 1982, doi:10.1016/S0141-1195(82)80057-0), or from the next row if that is larger,
plus the round-off that it inherits: agreement by accident never makes the estimate smaller. Added
is the second difference, extrapolated, over the step: it is zero unless there is a kink so close
that no step is shorter. The entry with the smallest error is taken.

How much round-off a function has is measured: nine neighbouring values differ from a quadratic
polynomial by noise alone, as in ECNoise (Moré and Wild 2011, doi:10.1137/100786125). Where some of
them are equal, values are rounded more coarsely than they are spaced, and the spacing is widened;
in the end the noise is at least that of rounding to multiples of their largest distance.

A derivative is wrong only if smaller steps confirm it, as far as round-off lets them: a staircase
seen from afar, or chaos, has differences that agree with each other and not with the derivative.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, log, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.verification.verdicts import Comparison

__all__ = ["Precision", "Sample", "Samples", "compare", "measure_noise"]

RATIO = 4.0
"""Between two steps: each column of the tableau gains a factor of 16."""

MIN_ROWS = 3
"""Steps before a tableau is believed: fewer could agree where the function happens to be flat."""

MAX_ROWS = 10
"""Steps at most: the last is 260,000 times smaller than the first."""

NEIGHBOURS = np.array([-4, -3.09, -2.17, -0.94, 0, 1.11, 1.86, 3.14, 4])
"""Where round-off is measured, in units of `Precision.spacing`: evenly spaced, rounded values might
lie on a line."""

NOISE_FACTOR = 3.0
"""Standard deviations of round-off in an error: the deviation itself is known to a factor of 2."""

ROUNDING = 1 / sqrt(12)
"""The standard deviation of rounding to integers."""

LARGEST = 1e4
"""How much larger than a value the numbers may be from which it is computed."""

MAX_TRUNCATION = 0.05
"""Estimated truncation over the derivative above which differences do not converge: a function that
saturates within the steps has derivatives that agree because they are all small."""

MAX_NOISE = 0.01
"""Round-off over the values above which these are no function of the controls: chaos, say."""

NOT_SMOOTH = (
    "the differences do not converge: the function is not smooth on the scale of their steps"
)


@dataclass(frozen=True, slots=True)
class Precision:
    """Steps and accuracies that follow from the relative spacing of the numbers computed with."""

    epsilon: float

    @property
    def first_step(self) -> float:
        """The largest step: of sixth order, truncation and round-off are then about equal."""
        return self.epsilon ** (1 / 8)

    @property
    def short_step(self) -> float:
        """The step of a single central difference, where its two errors are about equal."""
        return self.epsilon ** (1 / 3)

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
        """The relative error above which nothing can be said: a third of the digits."""
        return self.epsilon ** (1 / 3)


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


def measure_noise(
    sample: Sample, precision: Precision, least: ArrayLike = 0.0
) -> tuple[float, NDArray[np.float64]]:
    """Return the largest step at which all functions are finite, and their round-off there.

    That is the standard deviation, but not less than `least`; it is infinite if no step is small
    enough, and of values that are no function of the controls. Takes nine samples, more of
    functions that are hardly changed by the steps.
    """
    step = precision.first_step
    centre = sample(step)
    while not centre.are_finite:
        step /= RATIO
        if step < precision.first_step / RATIO**MAX_ROWS:
            return step, np.full(len(centre.values), inf)
        centre = sample(step)
    spacing = precision.spacing
    while True:
        near = [sample(step + i * spacing) if i else centre for i in NEIGHBOURS]
        if not all(samples.are_finite for samples in near):
            return step, np.full(len(centre.values), inf)
        # Equal values: they are rounded more coarsely than they are spaced.
        are_equal = any(len(set(c)) < len(near) and c.any() for c in _columns(near))
        wider = spacing * precision.epsilon ** (-1 / 6)
        if not are_equal or 4 * wider > step:
            return step, _deviations(near, precision.epsilon, least)
        spacing = wider


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
    given = zip(slopes, noise, roundings, strict=True)
    tableaus = [_Tableau(*numbers, precision) for numbers in given]
    for row in range(MAX_ROWS):
        step = first_step / RATIO**row
        plus, minus = sample(step), sample(-step)
        if not (plus.are_finite and minus.are_finite):
            continue
        up, down = plus.remainders - base.remainders, minus.remainders - base.remainders
        constant = (plus.values == base.values) & (minus.values == base.values)
        for i, tableau in enumerate(tableaus):
            tableau.add(step, float(up[i]), float(down[i]), is_constant=bool(constant[i]))
        if all(tableau.is_done for tableau in tableaus):
            break
    return [tableau.result for tableau in tableaus]


def _deviations(near: Sequence[Samples], epsilon: float, least: ArrayLike) -> NDArray[np.float64]:
    """Return the round-off of each function, given its values at the neighbours."""
    remainders = np.array([samples.remainders for samples in near])
    basis = np.linalg.qr(np.vander(NEIGHBOURS, 3))[0]
    rest = remainders - basis @ (basis.T @ remainders)
    measured = np.sqrt((rest**2).sum(axis=0) / (len(near) - 3))
    largest = np.abs(_columns(near)).max(axis=1)
    gaps = np.array([_largest_gap(column) for column in _columns(near)])
    noise = np.maximum.reduce([measured, ROUNDING * epsilon * largest, ROUNDING * gaps])
    noise = np.maximum(noise, least)
    noise[noise > MAX_NOISE * largest] = inf
    return noise


def _columns(near: Sequence[Samples]) -> NDArray[np.float64]:
    return np.array([samples.values for samples in near]).T


def _largest_gap(values: NDArray[np.float64]) -> float:
    """Return the largest difference of values of which some are equal, else zero."""
    different = np.unique(values)
    return float(np.diff(different).max()) if 1 < len(different) < len(values) else 0.0


@dataclass(slots=True)
class _Entry:
    """An extrapolated derivative of a remainder, and what its error consists of."""

    value: float
    truncation: float
    noise: float

    @property
    def error(self) -> float:
        """The estimated error."""
        return self.truncation + self.noise


@dataclass(slots=True)
class _Tableau:
    """The extrapolation of one function's central differences."""

    slope: float
    noise: float
    rounding: float
    precision: Precision
    rows: list[list[_Entry]] = field(default_factory=list)
    bend: float = nan
    """The second difference of the last row, over its step: tends to zero unless there is a kink.
    """
    rests: list[tuple[float, float]] = field(default_factory=list)
    """Step and remainder of each row in which the remainder is well above round-off."""
    is_constant: bool = True
    next_noise: float = inf
    """Round-off in the first entry of the next row."""

    def add(self, step: float, plus: float, minus: float, *, is_constant: bool) -> None:
        """Add the row of a step, given what remainders at both its ends exceed that at zero."""
        self.is_constant &= is_constant
        if abs(plus) > 10 * self.noise:
            self.rests.append((step, abs(plus)))
        inherited = NOISE_FACTOR * self.noise / (sqrt(2) * step)
        self.next_noise = RATIO * inherited
        bend, before = (plus + minus) / (2 * step), self.bend
        kink = max(0.0, abs(RATIO * bend - before) / (RATIO - 1) - 2.5 * inherited)
        self.bend = bend
        last = self.rows[-1] if self.rows else []
        row = [_Entry((plus - minus) / (2 * step), inf, inherited)]
        for column, left in enumerate(last, start=1):
            factor, above = RATIO ** (2 * column), row[-1]
            value = above.value + (above.value - left.value) / (factor - 1)
            noise = (factor * above.noise + left.noise) / (factor - 1)
            distance = max(abs(value - above.value), abs(value - left.value))
            row.append(_Entry(value, distance + kink, noise))
        # Two entries may agree by accident; the next row does not confirm that.
        for old, new in zip(last, row, strict=False):
            moved = abs(old.value - new.value) - new.noise
            old.truncation = max(old.truncation, moved)
        self.rows.append(row)

    @property
    def best(self) -> _Entry:
        """The entry with the smallest error relative to the derivative."""
        entries = [entry for row in self.rows for entry in row]
        return min(entries, key=self._badness, default=_Entry(0.0, inf, inf))

    def _badness(self, entry: _Entry) -> tuple[float, float]:
        if entry.error == inf:
            return 1.0, inf
        size = abs(self.slope + entry.value) + entry.error
        return (entry.error / size if size > 0 else 0.0), entry.error

    @property
    def has_no_influence(self) -> bool:
        """Whether no value has changed, and none should have."""
        return bool(self.rows) and self.is_constant and self.slope == 0

    @property
    def is_done(self) -> bool:
        """Whether a smaller step is not needed, or would not help."""
        if self.has_no_influence:
            return True
        if len(self.rows) < MIN_ROWS:
            return False
        best = self.best
        by_differences = self.slope + best.value
        is_enough = best.error <= max(self.precision.aim * abs(by_differences), self.next_noise)
        is_clear = self.result.verdict != "wrong" or self.next_noise > self._visible(best)
        return is_enough and is_clear

    def _visible(self, best: _Entry) -> float:
        """Return the round-off with which a row shows whether the best entry is right."""
        return min(abs(best.value), abs(self.slope + best.value)) / 8

    def _is_contradicted(self, best: _Entry) -> bool:
        """Whether rows of smaller steps than the best entry's say something else."""
        visible, is_after = self._visible(best), False
        for row in self.rows:
            sees = is_after and row[0].noise <= visible
            if sees and abs(row[1].value - best.value) > 4 * visible:
                return True
            is_after |= any(entry is best for entry in row)
        return False

    @property
    def result(self) -> Comparison:
        """What the tableau says."""
        limit = self.precision.limit
        if self.has_no_influence:
            return Comparison(0.0, 0.0, 0.0, nan, limit)
        best = self.best
        by_differences = self.slope + best.value
        scale = max(abs(by_differences), abs(self.slope))
        # What was changed may be lost beside a larger number.
        lost = LARGEST * best.noise if self.is_constant else 0.0
        error = max(best.error + self.rounding + lost, self.precision.floor * scale)
        converges = best.truncation <= max(best.noise, MAX_TRUNCATION * abs(by_differences))
        doubt = "" if converges and not self._is_contradicted(best) else NOT_SMOOTH
        return Comparison(by_differences, self.slope, error, self._order, limit, doubt=doubt)

    @property
    def _order(self) -> float:
        """The order of the remainder between the two smallest steps at which it is seen."""
        if len(self.rests) < 2 or not isfinite(self.noise):
            return nan
        (big_step, big), (small_step, small) = self.rests[-2:]
        return log(big / small) / log(big_step / small_step)
