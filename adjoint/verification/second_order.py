"""Hessian products of a functional against differences of its gradient, and their symmetry."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import StepperError
from adjoint.functional import Functional
from adjoint.steppers import Arrays, Capabilities
from adjoint.verification.differences import Precision
from adjoint.verification.runs import require_functional

__all__ = ["SecondOrderResult", "second_order_test"]

RATIO, NUM_STEPS = 4.0, 8
"""Steps of the differences shrink by this ratio, so many times at most."""

ABOVE_NOISE = 30.0
"""A remainder counts if it is so many times the round-off of the gradient."""

MIN_ORDER = 1.9
"""Of the remainder: 2 if the product is right, 1 if it is wrong."""

MAX_ASYMMETRY = 1e4
"""In units of the relative spacing of numbers: round-off grows along a run."""


@dataclass(frozen=True, slots=True)
class SecondOrderResult:
    """A Hessian product compared with differences of the gradient. Print it."""

    orders: tuple[float, ...]
    """Observed orders of ``|g(m + t v) - g(m) - t H v|`` from each step to the next, as long as it
    is well above round-off: near 2 in the end. Empty for a quadratic cost."""
    remainder: float
    """The remainder at the largest step, over ``|t H v|``."""
    noise: float
    """The same for the round-off of the gradient."""
    symmetry: float
    """``<w, H v> - <v, H w>`` for a random ``w``, over the absolute values of all terms."""
    step_errors: Mapping[str, float]
    """Largest errors of the identities of single steps, costs and the initial state."""
    passed: bool
    """Whether all are as they must be."""
    refusal: str = ""
    """The error that says which derivative is wrong, if an identity does not hold."""

    def __str__(self) -> str:
        lines = [f"second derivatives: {'right' if self.passed else 'wrong'}"]
        if self.refusal:
            return "\n".join([*lines, self.refusal])
        orders = ", ".join(f"{order:.2f}" for order in self.orders)
        lines.append(f"orders of the gradient's remainder  {orders or '- (no remainder)'}")
        lines.append(f"symmetry                            {self.symmetry:.0e}")
        lines += [f"{name:34}  {error:.0e}" for name, error in self.step_errors.items()]
        return "\n".join(lines)


def second_order_test(
    functional: Functional, direction: Mapping[str, ArrayLike] | None = None, *, seed: int = 0
) -> SecondOrderResult:
    """Compare a Hessian product at the present controls with differences of the gradient.

    Collective. It is the gradient's remainder that is tested, because long or chaotic runs have no
    step at which the cost's third order can be seen. Evaluates two products and up to eleven
    gradients. The controls are left unchanged.

    Parameters
    ----------
    functional
        Of a stepper with second derivatives.
    direction
        Arrays shaped as some of the controls, of the size of a large change. Default: random ones.
    seed
        Of the random numbers.
    """
    require_functional(functional, "second_order_test")
    with functional.comm.failing():
        return _Comparison(functional, seed).result(direction)


class _Comparison:
    """One test, with the controls as they were."""

    def __init__(self, functional: Functional, seed: int) -> None:
        self._functional, self._seed = functional, seed
        self._distributed = Capabilities.of(functional.stepper).distributed
        controls = functional.stepper.controls
        self._controls: Arrays = {name: np.array(control) for name, control in controls.items()}
        spacings = [float(np.finfo(c.dtype).eps) for c in self._controls.values()]
        self._precision = Precision(max(spacings))

    def result(self, direction: Mapping[str, ArrayLike] | None) -> SecondOrderResult:
        given = self._random(1) if direction is None else direction
        towards: Arrays = {name: np.asarray(each, float) for name, each in given.items()}
        try:
            found = self._functional.second_order(_stacked(towards), block=None)
        except StepperError as error:
            return SecondOrderResult((), math.nan, math.nan, math.nan, {}, False, str(error))
        assert found.gradient is not None
        product = {name: each[0] for name, each in found.products.items()}
        symmetry = self._asymmetry(towards, product)
        steps = [self._precision.first_step / RATIO**i for i in range(NUM_STEPS)]
        size, noise = self._norm(product), self._noise(towards, found.gradient)
        rests: list[float] = []
        for step in steps:
            rests.append(self._remainder(step, towards, found.gradient, product))
            if rests[-1] < ABOVE_NOISE * noise:
                break
        seen = [rest for rest in rests if rest >= ABOVE_NOISE * noise]
        orders = tuple(math.log(big / small) / math.log(RATIO) for big, small in pairwise(seen))
        is_right = orders[-1] >= MIN_ORDER if orders else not seen
        is_symmetric = symmetry <= MAX_ASYMMETRY * self._precision.epsilon
        scale = steps[0] * size or 1.0
        return SecondOrderResult(
            orders,
            rests[0] / scale,
            noise / scale,
            symmetry,
            found.step_errors,
            is_right and is_symmetric,
        )

    def _remainder(self, step: float, towards: Arrays, gradient: Arrays, product: Arrays) -> float:
        there = self._gradient_at(step, towards)
        return self._norm({k: there[k] - gradient[k] - step * product[k] for k in there})

    def _noise(self, towards: Arrays, gradient: Arrays) -> float:
        """Return the round-off of a gradient: a second difference too short for any curvature."""
        step = self._precision.spacing
        ahead, behind = (self._gradient_at(sign * step, towards) for sign in (1, -1))
        return self._norm({k: ahead[k] - 2 * gradient[k] + behind[k] for k in ahead})

    def _gradient_at(self, step: float, towards: Arrays) -> Arrays:
        moved = {
            name: (control + step * towards[name]).astype(control.dtype)
            for name, control in self._controls.items()
            if name in towards
        }
        try:
            return self._functional.value_and_gradient(moved)[1]
        finally:
            for name in moved:
                self._functional.stepper.controls[name][...] = self._controls[name]

    def _asymmetry(self, towards: Arrays, product: Arrays) -> float:
        other = self._random(2)
        found = self._functional.second_order(_stacked(other), block=None)
        back = {name: each[0] for name, each in found.products.items()}
        terms = [(other[name] * product[name], 1) for name in other]
        terms += [(towards[name] * back[name], -1) for name in towards]
        names = [*other, *towards]
        total = size = 0.0
        for name, (term, sign) in zip(names, terms, strict=True):
            if self._counts(name):
                total += sign * float(np.sum(term))
                size += float(np.sum(np.abs(term)))
        sums = [math.fsum(each) for each in zip(*self._gather((total, size)), strict=True)]
        return abs(sums[0]) / sums[1] if sums[1] else 0.0

    def _random(self, key: int) -> dict[str, NDArray[Any]]:
        """Return random directions of all controls, equal on all ranks where the control is."""
        found: dict[str, NDArray[Any]] = {}
        for number, (name, control) in enumerate(self._controls.items()):
            rank = self._functional.comm.rank if name in self._distributed else 0
            noise = np.random.default_rng([self._seed, key, number, rank])
            size = float(np.max(np.abs(control), initial=0.0)) or 1.0
            found[name] = size * noise.standard_normal(control.shape)
        return found

    def _norm(self, arrays: Arrays) -> float:
        own = sum(float(np.sum(np.square(a))) for name, a in arrays.items() if self._counts(name))
        return math.sqrt(math.fsum(self._gather(own)))

    def _counts(self, name: str) -> bool:
        """Whether this rank's part counts: of a replicated control, that of the first rank."""
        return name in self._distributed or self._functional.comm.rank == 0

    def _gather(self, value: Any) -> list[Any]:
        return self._functional.comm.gather(value)


def _stacked(direction: Arrays) -> dict[str, NDArray[Any]]:
    return {name: each[np.newaxis] for name, each in direction.items()}
