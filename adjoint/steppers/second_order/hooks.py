"""The derivatives that a user may write by hand for second-order products, and calling them.

All are linear in what they are given besides the point (tangents, and the adjoint of a curvature),
which is scaled by a power of two where other derivatives are taken by complex step.
"""

from collections.abc import Callable
from typing import Any, Protocol

from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.hooks import explain_read_only, require_nothing
from adjoint.steppers.mappings import Assignable
from adjoint.steppers.protocol import Arrays

__all__ = ["SecondOrderHooks", "invoke", "is_written"]


class SecondOrderHooks(Protocol):
    """What a `FunctionStepper` may have besides, each optional: see docs/second_derivatives.md.

    With ``F`` a step, ``g`` its cost, ``G`` the terminal cost, ``u0`` the initial state, ``u'`` and
    ``m'`` the tangents of state and controls, and ``w`` an adjoint. `tangent`, `out` and `adjoint`
    have the names of states with an adjoint, `control_tangent` and `gradient` those of controls.
    `out` and `tangent` never share memory. What is not written is computed by complex step; but a
    class with `step_jvp` and without `step_curvature` has an affine step, and one with
    `initial_state_jvp` and without `initial_state_curvature` an affine initial state.

    ``vectorised = True`` has each of them, and `step_vjp` and `initial_state_vjp`, called once for
    all directions: tangents, `out`, and what `step_vjp` gets as adjoint and gradient, then have a
    leading axis, which counts the directions; of a control with a row per step it is the second.
    """

    def step_jvp(
        self, step: int, state: Arrays, tangent: Arrays, control_tangent: Arrays, out: Arrays
    ) -> None:
        """Write ``F_u u' + F_m m'`` to `out`."""
        ...

    def step_curvature(
        self,
        step: int,
        state: Arrays,
        adjoint: Arrays,
        tangent: Arrays,
        control_tangent: Arrays,
        out: Arrays,
        gradient: Arrays,
    ) -> None:
        """Add ``(F_uu u' + F_um m')^T w`` to `out`, ``(F_mu u' + F_mm m')^T w`` to `gradient`."""
        ...

    def step_cost_curvature(
        self,
        step: int,
        state: Arrays,
        tangent: Arrays,
        control_tangent: Arrays,
        out: Arrays,
        gradient: Arrays,
    ) -> None:
        """Add ``g_uu u' + g_um m'`` to `out` and ``g_mu u' + g_mm m'`` to `gradient`."""
        ...

    def terminal_cost_curvature(
        self,
        state: Arrays,
        tangent: Arrays,
        control_tangent: Arrays,
        out: Arrays,
        gradient: Arrays,
    ) -> None:
        """Add ``G_uu u' + G_um m'`` to `out` and ``G_mu u' + G_mm m'`` to `gradient`."""
        ...

    def initial_state_jvp(self, control_tangent: Arrays, out: Arrays) -> None:
        """Write ``u0' m'`` to `out`."""
        ...

    def initial_state_curvature(
        self, adjoint: Arrays, control_tangent: Arrays, gradient: Arrays
    ) -> None:
        """Add ``(u0'' m')^T w`` to `gradient`."""
        ...


def is_written(stepper: FunctionStepper, name: str) -> bool:
    """Return whether a user has written a function of a stepper."""
    found = getattr(stepper, name, None)
    return found is not None and getattr(found, "__func__", found) is not getattr(
        FunctionStepper, name, None
    )


def invoke(
    function: Callable[..., object], argument: str, written: tuple[Assignable, ...], *given: Any
) -> None:
    """Call a user's function that writes to some mappings, such as to `argument`."""
    try:
        found = function(*given)
    except BaseException as error:  # so that the next run finds all in order
        _settle(written)
        explain_read_only(error)
        raise
    _settle(written)
    require_nothing(function.__name__, found, argument)


def _settle(written: tuple[Assignable, ...]) -> None:
    for arrays in written:
        if arrays.replaced:
            arrays.settle()
