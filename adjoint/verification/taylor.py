"""The gradient of a functional against differences of its cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from adjoint.functional import Functional, require_functional
from adjoint.verification.differences import Samples, compare, measure_noise
from adjoint.verification.dot_product import DotProductResult, compare_steps
from adjoint.verification.runs import Fields, InnerProduct, Runs, Segment, together
from adjoint.verification.verdicts import Comparison, Verdict, by_part, doubted, overall, table

__all__ = ["TaylorResult", "taylor_test"]

INITIAL_STATE = "initial state"

NUM_CANDIDATES = 4
"""Of a single one the derivative could happen to be small, and its relative error large."""

NO_STEP_IS_WRONG = (
    "No single step, cost or initial state was found wrong. replay_test shows whether steps give "
    "something else when they are taken again, bitwise_test whether the schedule matters."
)


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
        """The worst of all parts: "right", "wrong" or "cannot tell".

        A run may forget its initial state: that nothing can be said about its derivative does not
        count where there are controls.
        """
        parts, decisive = self.parts, [p for p in self.parts if p.part != INITIAL_STATE]
        return "wrong" if overall(parts) == "wrong" else overall(decisive or parts)

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
                NO_STEP_IS_WRONG,
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

    Evaluates one gradient, and the cost nine times in all and seven times for each part and
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
    require_functional(functional, "taylor_test")
    stepper, comm = functional.stepper, functional.comm
    with Runs(stepper, comm, scale, inner_product, seed) as runs:
        cost, found = functional.value_and_gradient()
        assert functional.report is not None
        num_steps = functional.report.num_steps
        adjoint = {name: np.array(stepper.adjoint[name]) for name in runs.state_names}
        runs.accept_present_steps()
        # Replicated controls count once.
        own = {k: v for k, v in found.items() if comm.rank == 0 or k in runs.has.distributed}
        trial = _Trial(runs, Segment(0, num_steps, turns=True), Fields(own, adjoint))
        if direction is None:
            comparisons = trial.of_every_part(num_directions)
        else:
            comparisons = trial.along([("the given direction", Fields(direction, {}))])
        is_wrong = any(c.verdict == "wrong" for c in comparisons)
        steps = compare_steps(runs, num_steps) if is_wrong else None
    return TaylorResult(tuple(comparisons), cost, trial.evaluations, steps)


class _Trial:
    """The cost of whole runs along directions, and a gradient."""

    def __init__(self, runs: Runs, whole: Segment, gradient: Fields) -> None:
        self._runs, self._whole, self._gradient = runs, whole, gradient
        self.evaluations = 0

    def of_every_part(self, num_directions: int) -> list[Comparison]:
        """Compare along random directions of each control and of the initial state."""
        runs = self._runs
        parts: list[tuple[str, Fields]] = []
        for name in runs.control_names:
            if not runs.is_left_out(name):
                count = num_directions if runs.size_of_control(name) > 1 else 1
                drawn = partial(runs.control_direction, name)
                parts += [(f"control {name!r}", self._steepest(drawn, i)) for i in range(count)]
        if not all(runs.is_left_out(name) for name in runs.state_names):
            if runs.has_bound_entries:
                moves = self._moves_of_the_run(num_directions)
            else:
                drawn = partial(runs.state_direction, runs.initial_state())
                moves = [self._steepest(drawn, i) for i in range(num_directions)]
            parts += [(INITIAL_STATE, move) for move in moves]
        if not parts:
            raise ArgumentError("nothing to test: no control or state has a scale that is not zero")
        comparisons = self.along(parts)
        if any(c.part == INITIAL_STATE and c.verdict == "wrong" for c in comparisons):
            reached = self.along([("", move) for move in self._moves_of_the_run(num_directions)])
            check = min(reached, key=lambda c: (c.verdict != "wrong", c.relative_error))
            comparisons = [doubted(c, check) if c.part == INITIAL_STATE else c for c in comparisons]
        return comparisons

    def along(self, parts: Sequence[tuple[str, Fields]]) -> list[Comparison]:
        """Compare along the direction of each part."""
        runs, gradient = self._runs, self._gradient
        around = partial(self._sample, together(dict(reversed(parts)).values()))
        step, noise = measure_noise(around, runs.precision)
        comparisons: list[Comparison] = []
        for name, direction in parts:
            slope = runs.slope(gradient, direction)
            rounding = runs.rounding(gradient, direction, self._whole.stop)
            sample = partial(self._sample, direction)
            (result,) = compare(sample, [slope], [rounding], step, noise, runs.precision)
            comparisons.append(result.of(name))
        return comparisons

    def _sample(self, direction: Fields, position: float) -> Samples:
        self.evaluations += 1
        return self._runs.sample(self._whole, direction, [self._gradient], position)

    def _steepest(self, drawn: Callable[[int, int], Fields], index: int) -> Fields:
        """Return of a few random directions the one along which the gradient says most."""
        candidates = (drawn(index, i) for i in range(NUM_CANDIDATES))
        return max(candidates, key=lambda d: abs(self._runs.slope(self._gradient, d)))

    def _moves_of_the_run(self, count: int) -> list[Fields]:
        state = self._runs.initial_state()
        reached = self._runs.states_reached(self._whole.stop)
        return self._runs.directions_between(state, reached, count)
