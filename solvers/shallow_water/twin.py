"""Shallow water in complex arithmetic, by which its second derivatives are taken."""

from typing import Any

import numpy as np

from adjoint.steppers import Arrays
from solvers.shallow_water.model import ShallowWater

__all__ = ["Twin"]


class Twin(ShallowWater):
    """The twin of a stepper: see `adjoint.steppers.second_order.SecondOrderByTwins`."""

    def __init__(
        self, stepper: ShallowWater, controls: Arrays, accumulators: Arrays, like: Any
    ) -> None:
        vars(self).update(vars(stepper))
        self._dtype = np.result_type(self._dtype, np.complex64)
        self.controls, self.accumulators = dict(controls), dict(accumulators)
        self._allocate(self._problem.samples)
        if like is not None:
            self.state, self.adjoint, self.tape_memory = like.state, like.adjoint, like.tape_memory

    def _check_controls(self) -> None:
        """Do nothing: the real parts are controls that were checked."""
