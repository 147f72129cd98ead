"""The derivatives of one direction by the functions that a user has written."""

from typing import Any

from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.mappings import Assignable
from adjoint.steppers.protocol import Arrays
from adjoint.steppers.second_order.directions import Direction
from adjoint.steppers.second_order.hooks import invoke, is_written

__all__ = ["ByHand"]


class ByHand:
    """Second-order derivatives as a user has written them.

    Parameters
    ----------
    stepper
        Its `step_vjp` and `initial_state_vjp` pull the tangents of the adjoint back.
    gauss_newton
        Whether the curvatures of step and initial state are left out.
    """

    def __init__(self, stepper: FunctionStepper, *, gauss_newton: bool) -> None:
        self._has: Any = stepper
        self._bends = not gauss_newton and is_written(stepper, "step_curvature")
        self._starts_bent = not gauss_newton and is_written(stepper, "initial_state_curvature")

    def step(
        self, direction: Direction, step: int, state: Arrays, tangent: Arrays, out: Arrays
    ) -> None:
        """Write the tangent after a step to `out`."""
        written = Assignable(out)
        given = (step, state, tangent, direction.controls, written)
        invoke(self._has.step_jvp, "out", (written,), *given)

    def step_vjp(
        self, direction: Direction, step: int, state: Arrays, adjoint: Arrays, tangent: Arrays
    ) -> None:
        """Pull the tangent of the adjoint back over a step; `adjoint` is that after the step."""
        back, gradient = direction.adjoint, direction.gradient
        invoke(self._has.step_vjp, "adjoint", (back, gradient), step, state, back, gradient)
        if self._bends:
            given = (step, state, adjoint, tangent, direction.controls, back, gradient)
            invoke(self._has.step_curvature, "out", (back, gradient), *given)

    def step_cost_vjp(
        self, direction: Direction, step: int, state: Arrays, tangent: Arrays
    ) -> None:
        """Add the curvature of the cost of a step."""
        back, gradient = direction.adjoint, direction.gradient
        given = (step, state, tangent, direction.controls, back, gradient)
        invoke(self._has.step_cost_curvature, "out", (back, gradient), *given)

    def terminal_cost_vjp(self, direction: Direction, state: Arrays, tangent: Arrays) -> None:
        """Add the curvature of the terminal cost."""
        back, gradient = direction.adjoint, direction.gradient
        given = (state, tangent, direction.controls, back, gradient)
        invoke(self._has.terminal_cost_curvature, "out", (back, gradient), *given)

    def initial_state(self, direction: Direction, out: Arrays) -> None:
        """Write the tangent of the initial state to `out`."""
        written = Assignable(out)
        invoke(self._has.initial_state_jvp, "out", (written,), direction.controls, written)

    def initial_state_vjp(self, direction: Direction, adjoint: Arrays) -> None:
        """Fold the tangent of the adjoint at step 0 into the products."""
        back, gradient = direction.adjoint, direction.gradient
        invoke(self._has.initial_state_vjp, "gradient", (back, gradient), back, gradient)
        if self._starts_bent:
            given = (adjoint, direction.controls, gradient)
            invoke(self._has.initial_state_curvature, "gradient", (gradient,), *given)
