"""What a solver exposes: the `Stepper` protocol, and `FunctionStepper`, which implements it."""

from adjoint.steppers.aligned import aligned_zeros
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.held_data import held_arrays
from adjoint.steppers.protocol import (
    Adopting,
    Arrays,
    Restorable,
    Stepper,
    copy_arrays,
    state_bytes,
)
from adjoint.steppers.scratch import Scratch

__all__ = [
    "Adopting",
    "Arrays",
    "Capabilities",
    "FunctionStepper",
    "Restorable",
    "Scratch",
    "Stepper",
    "aligned_zeros",
    "copy_arrays",
    "held_arrays",
    "state_bytes",
]
