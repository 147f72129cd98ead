"""Exact gradients of PyTorch models over sequences that autograd cannot hold."""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.torch.sequence import TorchSequence
    from solvers.torch.stepper import TorchStepper

__all__ = ["TorchSequence", "TorchStepper"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"TorchSequence": "sequence", "TorchStepper": "stepper"}
)
