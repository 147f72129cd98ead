"""The gradient of a functional against differences of its cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.functional import Functional
from adjoint.verification.differences import Samples, compare, measure_noise
from adjoint.verification.dot_product import DotProductResult, compare_steps
from adjoint.verification.runs import Fields, InnerProduct, Runs, Segment, together
from adjoint.verification.verdicts import Comparison, Verdict, by_part, overall, table

__all__ = ["TaylorResult", "taylor_test"]


@dataclass(frozen=True, slots=True)
class TaylorResult:
    """Directional derivatives of a cost: by its gradient, and by differences. Print it."""

    comparisons: tuple[Comparison, ...]
    """One for each part and direction."""
    cost: float
    """The cost at the present controls."""
    evaluations: int
    """How often the cost was evaluated, beside one gradient."""
    steps: DotProductResult | None = None
    """If the gradient is wrong, the derivatives of single steps and costs: which one is at fault.
    """

    @property
    def parts(self) -> tuple[Comparison, ...]:
        """The most telling direction of each part: every control, and the initial state."""
        return by_part(self.comparisons)

    @property
    def verdict(self) -> Verdict:
        """ "right", "wrong" or "cannot tell": the worst of all parts."""
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
    def order(self) -> float:
        """The smallest order of a Taylor remainder; NaN if all remainders are round-off."""
        return min((p.order for p in self.parts if not isnan(p.order)), default=nan)

    def __str__(self) -> str:
        lines = [f"gradient: {self.verdict} (cost {self.cost:.6e})", table(self.parts)]
        if self.steps is not None and self.steps.verdict == "wrong":
            lines += [str(self.steps)]
        elif self.steps is not None:
            lines += [
                str(self.steps),
                "Each step, each cost and the initial state alone is not found wrong: what is "
                "lies between them. See bitwise_test and replay_test.",
            ]
        return "\n".join(lines)


def taylor_test(
    functional: Functional,
    direction: Mapping[str, NDArray[Any]] | None = None,
    *,
    num_directions: int = 2,
    scale: Mapping[str, ArrayLike] | None = None,
    inner_product: InnerProduct | None = None,
    seed: int = 0,
) -> TaylorResult:
    """Compare the gradient at the present controls with differences of the cost.

    Collective. Tests each control on its own, and the adjoint at step 0 as the derivative with
    respect to the initial state, which need not be a control. Stepper, schedule and file are tested
    together, as the functional uses them. The controls are left unchanged.

    What is found is an error that is seen along the directions: one wrong entry of ``n`` changes a
    derivative by ``1 / sqrt(n)`` of its own error. `dot_product_test`, on single steps, sees more.

    Evaluates one gradient, and the cost ten times in all and seven times for each part and
    direction; up to 21 times where the cost is not smooth. If the gradient is wrong, single steps
    are tested until the first wrong one is found.

    Parameters
    ----------
    functional
        At controls where the gradient is not zero.
    direction
        Arrays shaped as some of the controls, of the size of a large change. By default random
        ones, in each part.
    num_directions
        Random directions of each part; of a single number there is one.
    scale
        By control and by array of the state, what its random numbers are multiplied by: a number or
        an array. Zero where an entry is not free, as in ghost cells. By default the largest
        magnitude in the array, or 1.
    inner_product
        ``inner_product(a, b)`` is this rank's part of the product that makes the gradient one:
        ``dJ = <gradient, dm>``. Both are mappings with the same names, of controls or of state
        arrays. Default: the sum of all products, of complex ones ``Re(conj(a) b)``.
    seed
        Of the random directions.
    """
    stepper, comm = functional.stepper, functional.comm
    with Runs(stepper, comm, scale, inner_product, seed) as runs:
        cost, found = functional.value_and_gradient()
        assert functional.report is not None
        num_steps = functional.report.num_steps
        adjoint = {name: np.array(stepper.adjoint[name]) for name in runs.state_names}
        runs.accept_present_steps()
        # Replicated controls count once.
        own = {k: v for k, v in found.items() if comm.rank == 0 or k in runs.has.distributed}
        gradient, whole = Fields(own, adjoint), Segment(0, num_steps, turns=True)
        if direction is None:
            parts = _random_parts(runs, num_steps, num_directions)
        else:
            parts = [("the given direction", Fields(direction, {}))]
        comparisons, evaluations = _compare(runs, whole, gradient, parts)
        is_wrong = any(c.verdict == "wrong" for c in comparisons)
        steps = compare_steps(runs, num_steps) if is_wrong else None
    return TaylorResult(tuple(comparisons), cost, evaluations, steps)


def _compare(
    runs: Runs, whole: Segment, gradient: Fields, parts: Sequence[tuple[str, Fields]]
) -> tuple[list[Comparison], int]:
    """Compare along the direction of each part; count the evaluations of the cost."""
    count = 0

    def sample(direction: Fields, position: float) -> Samples:
        nonlocal count
        count += 1
        return runs.sample(whole, direction, [gradient], position)

    around = partial(sample, together(dict(reversed(parts)).values()))
    step, noise = measure_noise(around, runs.precision)
    comparisons: list[Comparison] = []
    for name, direction in parts:
        slope = runs.slope(gradient, direction)
        rounding = runs.rounding(gradient, direction, whole.stop)
        along = partial(sample, direction)
        (result,) = compare(along, [slope], [rounding], step, noise, runs.precision)
        comparisons.append(result.of(name))
    return comparisons, count


def _random_parts(runs: Runs, num_steps: int, num_directions: int) -> list[tuple[str, Fields]]:
    """Return the random directions of each control and of the initial state, by name of part."""
    parts: list[tuple[str, Fields]] = []
    for name in runs.control_names:
        for i in range(num_directions if runs.size_of_control(name) > 1 else 1):
            parts.append((f"control {name!r}", runs.control_direction(name, i)))
    state = runs.initial_state()
    moves = runs.directions_between(state, runs.states_reached(num_steps), num_directions)
    return parts + [("initial state", direction) for direction in moves]
