"""How the functions of a stepper are differentiated along directions: by hand or by complex step.

A derivative that a user has not written is taken by complex step. But a class with `step_jvp` and
without `step_curvature` says that its step is affine, and the same holds for its initial state.
"""

from collections.abc import Callable
from typing import Any

from adjoint.errors import StepperError
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.second_order.by_hand import ByHand
from adjoint.steppers.second_order.complex_step import ComplexStep, complex_step_size
from adjoint.steppers.second_order.directions import Direction, Directions, require_free_names
from adjoint.steppers.second_order.hooks import is_written

__all__ = ["Derivatives"]

FUNCTIONS = (
    "initial_state",
    "step",
    "step_cost_vjp",
    "step_vjp",
    "terminal_cost_vjp",
    "initial_state_vjp",
)
"""What is differentiated along each direction."""

PROTOCOL = ("advance", "record", "turn", "pull_back", "finish", "adopt")
"""What is done anew around a stepper: a class that overrides one of them is more than functions."""

Derivative = tuple[Direction, Callable[..., None]]
"""Where the arrays of a direction are, and what computes a derivative along it."""


class Derivatives:
    """What differentiates each function of a stepper.

    Parameters
    ----------
    stepper
        Whose functions are differentiated.
    gauss_newton
        Whether the curvatures of step and initial state are left out.

    Raises
    ------
    StepperError
        The stepper's class overrides a method of the protocol, a name is taken, or a function can
        be differentiated neither by hand nor by complex step.
    """

    def __init__(self, stepper: FunctionStepper, *, gauss_newton: bool) -> None:
        _require_functions_alone(stepper)
        require_free_names(stepper)
        self.stepper, self.gauss_newton = stepper, gauss_newton
        self.is_complex = _by_complex_step(stepper, gauss_newton=gauss_newton)
        """The functions that the stepper has, and whether each is differentiated by complex step.
        """
        unwritten = [name for name, is_complex in self.is_complex.items() if is_complex]
        self.scale = complex_step_size(stepper, unwritten[0]) if unwritten else 1.0
        """By what directions are multiplied: what is differentiated by hand is linear in them."""
        self._unwritten = unwritten
        self._by_hand = ByHand(stepper, gauss_newton=gauss_newton)
        self._by_complex_step = ComplexStep(stepper) if unwritten else None

    def directions(self, count: int) -> Directions:
        """Return arrays for a number of directions."""
        return Directions(
            self.stepper,
            count,
            self.scale,
            moves_controls=bool(self._unwritten),
            adds_complex=any(name.endswith("_vjp") for name in self._unwritten),
        )

    def along(self, directions: Directions) -> dict[str, list[Derivative]]:
        """Return what differentiates each function along directions; nothing if it is not there."""
        vectorised = Capabilities.of(self.stepper).vectorised
        at_once = directions.at_once if vectorised else directions.singles
        found: dict[str, list[Derivative]] = {name: [] for name in FUNCTIONS}
        for name, is_complex in self.is_complex.items():
            way: Any = self._by_complex_step if is_complex else self._by_hand
            each_of = directions.singles if is_complex else at_once
            found[name] = [(each, getattr(way, name)) for each in each_of]
        return found


def _by_complex_step(stepper: FunctionStepper, *, gauss_newton: bool) -> dict[str, bool]:
    def has(*names: str) -> bool:
        return any(is_written(stepper, name) for name in names)

    found = {
        "step": not has("step_jvp"),
        "step_vjp": not (gauss_newton or has("step_jvp", "step_curvature")),
    }
    if has("initial_state"):
        of_start = has("initial_state_jvp", "initial_state_curvature")
        found["initial_state"] = not has("initial_state_jvp")
        found["initial_state_vjp"] = not (gauss_newton or of_start)
    for cost in ("step_cost", "terminal_cost"):
        if has(cost):
            found[f"{cost}_vjp"] = not has(f"{cost}_curvature")
    return found


def _require_functions_alone(stepper: FunctionStepper) -> None:
    for name in PROTOCOL:
        if getattr(type(stepper), name) is not getattr(FunctionStepper, name):
            raise StepperError(
                f"{type(stepper).__name__} has a {name}() of its own, of which second-order "
                "products would know nothing: write second_order(directions, *, gauss_newton) for "
                "it, or do in the functions of its steps what that does"
            )
