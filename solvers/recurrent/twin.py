"""A recurrent network in complex arithmetic, by which its second derivatives are taken.

It has no cost, of which only the derivatives are wanted. For Gauss-Newton products, what the losses
of a block give to the adjoint of its states has no real part: else the curvature of its steps would
take part.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from adjoint.steppers import Arrays, aligned_zeros
from solvers.recurrent.losses import Loss
from solvers.recurrent.network import RecurrentNetwork
from solvers.sequences import Rows

__all__ = ["Twin"]

Array = NDArray[Any]


class Twin(RecurrentNetwork):
    """The twin of a network: see `adjoint.steppers.second_order.SecondOrderByTwins`.

    Raises
    ------
    StepperError
        A loss has no ``twin(weights)``.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        controls: Arrays,
        accumulators: Arrays,
        like: Any,
        *,
        gauss_newton: bool,
    ) -> None:
        vars(self).update(vars(network if like is None else like))
        self._dtype = np.result_type(network.controls["h0"].dtype, np.complex64)
        self.controls, self.accumulators = dict(controls), dict(accumulators)
        self._gauss_newton = gauss_newton
        if self.per_step:
            self._inputs = Rows(self.controls["inputs"], "inputs")
        if like is None:
            shapes = {name: array.shape for name, array in network.state.items()}
            self.state = {name: aligned_zeros(shape, self._dtype) for name, shape in shapes.items()}
            self.adjoint = {k: aligned_zeros(shape, self._dtype) for k, shape in shapes.items()}
            self._allocate_blocks()
            self._of_real = self._layers, self._losses
        layers, losses = self._of_real
        self._layers = [layer.of_dtype(self._dtype) for layer in layers]
        self._losses = _twin_losses(losses, controls)

    def _add_final(self, cost: float, hidden: Array) -> float:
        del hidden
        return cost

    def _settle_losses(self, outer: Array) -> None:
        if self._gauss_newton:
            outer.real = 0

    def _read_inputs(self, start: int, stop: int) -> Any:
        return self._inputs.read(start, stop)


def _twin_losses(losses: Mapping[str, Loss], controls: Mapping[str, NDArray[Any]]) -> Any:
    """Return the losses of complex hidden states, with weights that are among `controls`.

    Raises
    ------
    StepperError
        One has no ``twin(weights)``.
    """
    found: dict[str, Any] = {}
    for name, loss in losses.items():
        twin: Any = getattr(loss, "twin", None)
        if twin is None:
            raise StepperError(
                f"{type(loss).__name__} has no second derivatives: write twin(weights), which "
                "returns the same loss of complex hidden states"
            )
        found[name] = twin({part: controls[f"{name}.{part}"] for part in loss.weights})
    return found
