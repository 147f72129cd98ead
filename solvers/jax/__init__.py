"""Exact gradients of scans of JAX over very long sequences."""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.jax.scan import ScanValueAndGrad, value_and_grad
    from solvers.jax.stepper import ScanStepper

__all__ = ["ScanStepper", "ScanValueAndGrad", "value_and_grad"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"ScanStepper": "stepper", "ScanValueAndGrad": "scan", "value_and_grad": "scan"},
)
