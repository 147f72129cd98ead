"""Second-order products: a stepper around a stepper, which sweeps as any other does."""

from adjoint.steppers.second_order.directions import tangent_name
from adjoint.steppers.second_order.hooks import SecondOrderHooks
from adjoint.steppers.second_order.identities import Identity
from adjoint.steppers.second_order.protocol import SecondOrderStepper, second_order

__all__ = ["Identity", "SecondOrderHooks", "SecondOrderStepper", "second_order", "tangent_name"]
