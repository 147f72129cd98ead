"""The gradient of a functional against differences of its cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from adjoint.functional import Functional
from adjoint.steppers import Arrays
from adjoint.verification.directions import Directions, require_fitting
from adjoint.verification.dot_product import DotProductResult, compare_steps
from adjoint.verification.runs import Fields, InnerProduct, Runs, Segment, require_functional
from adjoint.verification.verdicts import Comparisons, Verdict, overall

__all__ = ["TaylorResult", "taylor_test"]

INITIAL_STATE = "initial state"

NUM_DIRECTIONS = 2
"""Random directions of each part."""

NUM_CANDIDATES = 4
"""Of a single one the derivative could happen to be small, and its relative error large."""

NO_STEP_IS_WRONG = (
    "No single step, cost or initial state was found wrong. replay_test shows whether steps give "
    "something else when they are taken again, bitwise_test whether the schedule matters."
)


@dataclass(frozen=True, slots=True)
class TaylorResult(Comparisons):
    """Directional derivatives of a cost: by its gradient, and by differences. Print it."""

    cost: float
    """The cost at the present controls."""
    evaluations: int
    """How often the cost was evaluated, beside one gradient."""
    steps: DotProductResult | None = None
    """If the gradient is wrong, the derivatives of single steps and costs: which one is at fault.
    """

    @property
    def verdict(self) -> Verdict:
        """The worst of all parts: "right", "wrong" or "cannot tell".

        A run may forget its initial state: that nothing can be said about its derivative does not
        count where there are controls.
        """
        parts, decisive = self.parts, [p for p in self.parts if p.part != INITIAL_STATE]
        return "wrong" if overall(parts) == "wrong" else overall(decisive or parts)

    @property
    def order(self) -> float:
        """The smallest order of a Taylor remainder; NaN if all remainders are round-off."""
        return min((p.order for p in self.parts if not isnan(p.order)), default=nan)

    def __str__(self) -> str:
        lines = [f"gradient: {self.verdict} (cost {self.cost:.6e})", self.table]
        if self.steps is not None:
            lines.append(str(self.steps))
            lines += [NO_STEP_IS_WRONG] if self.steps.verdict != "wrong" else []
        return "\n".join(lines)


def taylor_test(
    functional: Functional,
    direction: Mapping[str, NDArray[Any]] | None = None,
    *,
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
    scale, inner_product, seed
        As in `dot_product_test`. What has a scale of zero is not tested. The product must be the
        one that makes the gradient one: ``dJ = <gradient, dm>``.
    """
    require_functional(functional, "taylor_test")
    stepper, comm = functional.stepper, functional.comm
    with comm.failing(), Runs(stepper, comm, inner_product) as runs:
        if direction is not None:
            require_fitting("direction", direction, runs.controls)
            if not any(np.any(array) for array in direction.values()):
                raise ArgumentError("direction is zero: nothing would be tested")
        cost, found = functional.value_and_gradient()
        assert functional.report is not None
        num_steps = functional.report.num_steps
        adjoint = {name: np.array(stepper.adjoint[name]) for name in runs.state_names}
        runs.accept_present_steps()
        # Replicated controls count once.
        own = {k: v for k, v in found.items() if comm.rank == 0 or k in runs.has.distributed}
        gradient, directions = Fields(own, adjoint), Directions(runs, scale, seed)
        parts = (
            _parts(directions, gradient, num_steps)
            if direction is None
            else [("the given direction", Fields(_like(runs.controls, direction), {}))]
        )
        compared = runs.compare(Segment(0, num_steps, turns=True), parts, [gradient])
        comparisons = tuple(comparison.of(part) for part, (comparison,) in compared)
        evaluations = runs.evaluations
        steps = compare_steps(directions, num_steps) if overall(comparisons) == "wrong" else None
        if steps is not None and steps.start_doubt:
            comparisons = tuple(
                replace(c, doubt=steps.start_doubt) if c.part == INITIAL_STATE else c
                for c in comparisons
            )
            steps = steps if overall(comparisons) == "wrong" else None
    return TaylorResult(comparisons, cost, evaluations, steps)


def _parts(directions: Directions, gradient: Fields, num_steps: int) -> list[tuple[str, Fields]]:
    """Return directions of each control and of the initial state, where the gradient says most."""
    runs = directions.runs
    first = Segment(*runs.leaves(num_steps)[0], runs.state_after(Segment(0, 0)))
    drawn: dict[str, Callable[[int, int], Fields]] = {
        f"control {name!r}": partial(directions.of_control, name)
        for name in runs.controls
        if not directions.is_left_out(name)
    }
    if not all(map(directions.is_left_out, runs.state_names)):
        drawn[INITIAL_STATE] = partial(directions.of_initial_state, first)
    if not drawn:
        raise ArgumentError("nothing to test: no control or state has a scale that is not zero")
    return [
        (part, max((draw(i, j) for j in range(NUM_CANDIDATES)), key=_steepness(runs, gradient)))
        for part, draw in drawn.items()
        for i in range(NUM_DIRECTIONS)
    ]


def _steepness(runs: Runs, gradient: Fields) -> Callable[[Fields], float]:
    return lambda direction: abs(runs.slope(gradient, direction))


def _like(arrays: Arrays, given: Mapping[str, Any]) -> Arrays:
    return {name: np.broadcast_to(value, arrays[name].shape) for name, value in given.items()}
