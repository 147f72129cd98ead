"""What a gradient test says: right, wrong, or that it cannot tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, isnan, nan
from typing import Literal

__all__ = ["Comparison", "Verdict", "by_part", "doubted", "overall", "table"]

Verdict = Literal["right", "wrong", "cannot tell"]

MAX_ERRORS = 5.0
"""Estimated errors by which two right derivatives may differ. A derivative that is off by ten of
them is found even if the true error is nearly five."""


NOT_FREE = (
    "wrong in a random direction, right between states of the run: if it has entries that are not "
    "free, such as ghost cells, give a scale that is zero there"
)


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


def doubted(wrong: Comparison, reached: Comparison) -> Comparison:
    """Return a wrong derivative in a state, in doubt if one between states of the run is right.

    Then the state may have entries that are not free. The second one must be exact enough to have
    shown the error of the first.
    """
    if wrong.verdict != "wrong" or reached.verdict != "right":
        return wrong
    if 2 * MAX_ERRORS * reached.relative_error > wrong.relative_difference:
        return wrong
    return replace(wrong, doubt=NOT_FREE)


def by_part(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Return one comparison of each part: the clearest disagreement, else the most exact one."""
    found: dict[str, Comparison] = {}
    for comparison in comparisons:
        other = found.setdefault(comparison.part, comparison)
        if _weight(comparison) > _weight(other):
            found[comparison.part] = comparison
    return tuple(found.values())


def overall(parts: Iterable[Comparison]) -> Verdict:
    """Return the verdict on all parts together."""
    verdicts = {part.verdict for part in parts}
    if "wrong" in verdicts:
        return "wrong"
    return "cannot tell" if "cannot tell" in verdicts else "right"


def table(parts: Sequence[Comparison]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'part':32}  {'differences':>13}  {'adjoint':>13}  differ by  error est.  order"]
    seen = [part for part in parts if part.scale != 0 or part.verdict != "right"]
    for part in seen:
        where = part.part if part.step is None else f"{part.part}, step {part.step}"
        order = "   -" if isnan(part.order) else f"{part.order:4.2f}"
        lines.append(
            f"{where:32}  {part.by_differences:13.6e}  {part.by_adjoint:13.6e}  "
            f"{part.relative_difference:9.0e}  {part.relative_error:10.0e}  {order:>5}  "
            f"{part.verdict}"
        )
    lines += [f"{part.part}: {part.reason}" for part in seen if part.reason]
    if len(seen) < len(parts):
        without = [part.part for part in parts if part not in seen]
        lines.append(f"zero in both ways at these controls: {', '.join(without)}")
    return "\n".join(lines)


def _weight(comparison: Comparison) -> tuple[int, float]:
    kind = ("cannot tell", "right", "wrong").index(comparison.verdict)
    # Parts that a step does not depend on agree exactly: figures of the others say more.
    is_empty = comparison.scale == 0
    figure = comparison.distance if kind == 2 else -comparison.relative_error
    return kind, -1e300 if is_empty else figure


def _ratio(a: float, b: float) -> float:
    if isnan(a) or isnan(b):
        return nan
    if a == 0:
        return 0.0
    return a / b if b > 0 else float("inf")
