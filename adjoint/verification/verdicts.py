"""What a gradient test says: right, wrong, or that it cannot tell."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite, isnan, nan
from typing import Literal

__all__ = ["Comparison", "Comparisons", "Verdict", "overall"]

Verdict = Literal["right", "wrong", "cannot tell"]

MAX_ERRORS = 5.0
"""Estimated errors by which two right derivatives may differ. A derivative that is off by ten of
them is found even if the true error is nearly five."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One derivative along one direction, computed in two ways."""

    by_differences: float
    """By extrapolated differences of the function."""
    by_adjoint: float
    """By the gradient or the transposed derivative that is tested."""
    error: float
    """The estimated error of the difference of the two: truncation and round-off."""
    order: float
    """Observed order of the Taylor remainder: 2 if the derivative is right, 1 if it is wrong; NaN
    where the remainder is round-off, as for a linear function."""
    limit: float
    """The relative error above which nothing can be said."""
    part: str = ""
    """What was differentiated with respect to what."""
    step: int | None = None
    """The first step of those that were differentiated, unless it was the whole run."""
    doubt: str = ""
    """Why a difference is no proof that the derivative is wrong."""

    @property
    def scale(self) -> float:
        """The larger of the two derivatives, by magnitude."""
        return max(abs(self.by_differences), abs(self.by_adjoint))

    @property
    def relative_error(self) -> float:
        """The estimated error over the derivative; 0 where there is no influence."""
        return _ratio(self.error, self.scale)

    @property
    def relative_difference(self) -> float:
        """The difference of the two over the derivative."""
        return _ratio(abs(self.by_differences - self.by_adjoint), self.scale)

    @property
    def distance(self) -> float:
        """The difference of the two in estimated errors."""
        return _ratio(abs(self.by_differences - self.by_adjoint), self.error)

    @property
    def verdict(self) -> Verdict:
        """Whether the two agree."""
        if self.distance > MAX_ERRORS:
            return "cannot tell" if self.doubt else "wrong"
        return "right" if self.relative_error <= self.limit else "cannot tell"

    @property
    def reason(self) -> str:
        """Why nothing can be said; empty if something can."""
        if self.verdict != "cannot tell":
            return ""
        if self.doubt:
            return self.doubt
        if not isfinite(self.error):
            return (
                "the values are not finite or mostly round-off at every step that was tried: give "
                "a scale for the directions, or take fewer steps"
            )
        if self.scale <= MAX_ERRORS * self.error:
            return "the derivative is too small to be seen in the values: test where it is larger"
        return (
            f"the differences are exact to {self.relative_error:.0e} only, {self.limit:.0e} is "
            "needed: the function is not smooth here, or has too much round-off"
        )

    def of(self, part: str, step: int | None = None) -> "Comparison":
        """Return the same with a name."""
        return replace(self, part=part, step=step)

    @property
    def weight(self) -> tuple[int, float]:
        """Larger for what says more of a part: the clearest disagreement, else the most exact."""
        if not self.scale:  # a step that does not depend on the part says nothing of the others
            return 0, 0.0
        kind = ("cannot tell", "right", "wrong").index(self.verdict)
        return 1 + kind, self.distance if self.verdict == "wrong" else -self.relative_error

    def __str__(self) -> str:
        where = self.part if self.step is None else f"{self.part}, step {self.step}"
        order = "-" if isnan(self.order) else f"{self.order:.2f}"
        return (
            f"{where:32}  {self.by_differences:13.6e}  {self.by_adjoint:13.6e}  "
            f"{self.relative_difference:9.0e}  {self.relative_error:10.0e}  {order:>5}  "
            f"{self.verdict}"
        )


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Derivatives of several parts, along several directions or in several steps."""

    comparisons: tuple[Comparison, ...]
    """One for each part and direction or leaf of steps."""

    @property
    def parts(self) -> tuple[Comparison, ...]:
        """The most telling comparison of each part."""
        found: dict[str, Comparison] = {}
        for comparison in self.comparisons:
            other = found.setdefault(comparison.part, comparison)
            found[comparison.part] = max(other, comparison, key=lambda c: c.weight)
        return tuple(found.values())

    @property
    def verdict(self) -> Verdict:
        """The worst of all parts: "right", "wrong" or "cannot tell"."""
        return overall(self.parts)

    @property
    def passed(self) -> bool:
        """Whether the verdict is "right"."""
        return self.verdict == "right"

    @property
    def error_estimate(self) -> float:
        """The largest estimated error of a part, relative to its derivative."""
        return max(part.relative_error for part in self.parts)

    @property
    def table(self) -> str:
        """The figures as lines of text."""
        lines = [f"{'part':32}  {'differences':>13}  {'adjoint':>13}  differ by  error est.  order"]
        idle = [part for part in self.parts if part.scale == 0 and part.verdict == "right"]
        seen = [part for part in self.parts if part not in idle]
        lines += map(str, seen)
        lines += [f"{part.part}: {part.reason}" for part in seen if part.reason]
        if idle:
            names = ", ".join(part.part for part in idle)
            lines.append(f"zero in both ways at these controls: {names}")
        return "\n".join(lines)


def overall(parts: Iterable[Comparison]) -> Verdict:
    """Return the verdict on all parts together."""
    verdicts = {part.verdict for part in parts}
    if "wrong" in verdicts:
        return "wrong"
    return "cannot tell" if "cannot tell" in verdicts else "right"


def _ratio(a: float, b: float) -> float:
    if isnan(a) or isnan(b):
        return nan
    if a == 0:
        return 0.0
    return a / b if b > 0 else float("inf")
