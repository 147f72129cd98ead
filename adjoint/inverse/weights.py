"""The L-curve: misfit against regularisation, over weights of all priors and terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adjoint.errors import ArgumentError
from adjoint.inverse.history import Found
from adjoint.inverse.inversion import Inversion

__all__ = ["LCurvePoint", "l_curve"]


@dataclass(frozen=True, slots=True)
class LCurvePoint:
    """What was found with one weight."""

    weight: float
    misfit: float
    term: float
    """All priors and terms, without the weight."""
    found: Found


def l_curve(
    inversion: Inversion, weights: Sequence[float], method: str = "L-BFGS-B", **options: Any
) -> list[LCurvePoint]:
    """Search with each weight in turn, from where the last search ended. Collective.

    All searches are in the inversion's one log, if it has one. Its weight is then what it was.

    Parameters
    ----------
    inversion
        Its priors and terms are multiplied by the weight.
    weights
        Positive; as a rule from the largest to the smallest.
    method, **options
        As for `Inversion.minimise`.

    Raises
    ------
    ArgumentError
        On every rank: a weight is not positive.
    """
    if not all(weight > 0 for weight in weights):
        raise ArgumentError("the weights of an L-curve must be positive")
    before, points, start = inversion.objective.weight, list[LCurvePoint](), None
    try:
        for weight in weights:
            inversion.objective.weight = float(weight)
            found = inversion.minimise(method, initial=start, **options)
            term = (found.cost - found.misfit) / weight
            points.append(LCurvePoint(float(weight), found.misfit, term, found))
            start = found.x
    finally:
        inversion.objective.weight = before
    return points
