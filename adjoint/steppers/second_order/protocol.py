"""What a second-order stepper has beside other steppers, and how one is made of a stepper."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from adjoint.errors import StepperError
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.protocol import Stepper
from adjoint.steppers.second_order.identities import Identity
from adjoint.steppers.second_order.stepper import SecondOrderOfFunctions
from adjoint.steppers.second_order.twins import SecondOrderByTwins

__all__ = ["SecondOrderStepper", "second_order"]


@runtime_checkable
class SecondOrderStepper(Stepper, Protocol):
    """A stepper whose run gives second-order products along some directions, and the cost.

    Its controls are those of the stepper it is made of, and the directions; so a run is resumed
    only if neither has changed. Its cost has the bits of the other's.
    """

    identities: Sequence[Identity]
    """Identities of the derivatives that the first whole run has evaluated; empty before."""

    @property
    def besides_bytes(self) -> int:
        """Memory beside states, tapes and the arrays of the protocol, which counts as these do."""
        ...

    def take_directions(self, directions: Mapping[str, Any]) -> None:
        """Go on with other directions, as many as before, by the name of a control.

        Each is shaped as the control, with a leading axis. Those of controls left out are zero.
        """
        ...

    def products(self) -> Mapping[str, NDArray[Any]]:
        """Return this rank's part of the products of the run that has ended, by control.

        Each is shaped as the control, with a leading axis: fresh arrays.
        """
        ...

    def close(self) -> None:
        """Leave the stepper it is made of as it was, also where a run was interrupted."""
        ...


def second_order(
    stepper: Stepper, directions: Mapping[str, Any], *, gauss_newton: bool = False
) -> SecondOrderStepper:
    """Return a stepper for products along `directions`, shaped as for `take_directions`.

    Raises
    ------
    StepperError
        There is no way to differentiate the stepper twice. The message names the ways there are.
    """
    has = Capabilities.of(stepper)
    if has.second_order is not None:
        return has.second_order(directions, gauss_newton=gauss_newton)
    if has.twin is not None:
        return SecondOrderByTwins(stepper, directions, gauss_newton=gauss_newton)
    if isinstance(stepper, FunctionStepper):
        return SecondOrderOfFunctions(stepper, directions, gauss_newton=gauss_newton)
    raise StepperError(
        f"{type(stepper).__name__} has no second derivatives. A FunctionStepper has them by "
        "complex step, if its functions are analytic, or by step_jvp and step_curvature; any other "
        "stepper by second_order(directions, *, gauss_newton), or by a twin that computes with "
        "complex numbers"
    )
