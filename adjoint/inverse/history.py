"""What a search has done and found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from adjoint.reporting.report import Report

__all__ = ["Evaluation", "Found"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of an inversion."""

    kind: str
    """``"gradient"``, ``"Hessian"`` or ``"Gauss-Newton"``."""
    seconds: float
    replayed: bool
    """Whether it was answered from the log."""
    finite: bool = True
    cost: float = float("nan")
    """Of a gradient: misfit and all terms."""
    misfit: float = float("nan")
    terms: Mapping[str, float] | None = None
    """Values of priors and terms: by control, and numbered where it has several."""
    gradient_norm: float = float("nan")
    """Norm of the gradient in the unknowns' inner products."""
    directions: int = 0
    """Of a product: in how many directions."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found. The same on every rank, but for `controls` and `report`."""

    x: NDArray[Any]
    """The optimiser's vector."""
    controls: dict[str, NDArray[Any]]
    """This rank's part of each unknown control. The stepper's controls have these values."""
    cost: float
    misfit: float
    success: bool
    """Whether the method says that it has converged."""
    message: str
    """The method's last word."""
    iterations: int
    history: Sequence[Evaluation]
    """All evaluations of this search."""
    non_finite: int
    """How many evaluations of this search were not finite."""
    replayed: int
    """How many evaluations of this search were answered from the log."""
    report: Report | None
    """Figures of the last gradient that was computed, on this rank."""
    scipy: Any = None
    """SciPy's own result, if it was SciPy that searched."""
    tao: Any = None
    """The PETSc TAO that searched; its destruction is left to the caller."""
