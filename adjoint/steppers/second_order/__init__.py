"""Second-order products: a stepper around a stepper, which sweeps as any other does."""

from adjoint.steppers.second_order.directions import Direction, tangent_name
from adjoint.steppers.second_order.hooks import SecondOrderHooks
from adjoint.steppers.second_order.identities import Identity
from adjoint.steppers.second_order.leaves import SecondOrderOfLeaves
from adjoint.steppers.second_order.protocol import SecondOrderStepper, second_order
from adjoint.steppers.second_order.twins import SecondOrderByTwins

__all__ = [
    "Direction",
    "Identity",
    "SecondOrderByTwins",
    "SecondOrderHooks",
    "SecondOrderOfLeaves",
    "SecondOrderStepper",
    "second_order",
    "tangent_name",
]
