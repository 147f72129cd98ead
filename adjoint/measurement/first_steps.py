"""The first steps of a run as a run of their own, for a short sweep to be timed."""

import numpy as np

from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper

__all__ = ["FirstSteps", "clear"]


class FirstSteps:
    """The first steps of a stepper's run as a run of their own, whose terminal cost is zero."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    @property
    def state(self) -> Arrays:
        return self._stepper.state

    @property
    def adjoint(self) -> Arrays:
        return self._stepper.adjoint

    @property
    def controls(self) -> Arrays:
        return self._stepper.controls

    @property
    def accumulators(self) -> Arrays:
        return self._stepper.accumulators

    @property
    def first_non_finite(self) -> int | None:
        return Capabilities.of(self._stepper).first_non_finite

    def start(self) -> None:
        self._stepper.start()

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        return self._stepper.advance(start, stop, cost=cost)

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        return self._stepper.record(start, stop, cost=cost, reach_stop=reach_stop)

    def turn(self, cost: float) -> float:
        clear(self._stepper.adjoint)
        return cost

    def pull_back(self, start: int, stop: int) -> None:
        self._stepper.pull_back(start, stop)

    def finish(self) -> None:
        pass


def clear(arrays: Arrays) -> None:
    """Set arrays to zero, of whatever dtype."""
    for array in arrays.values():  # as bytes: NumPy may not know the dtype, such as bfloat16
        array.reshape(-1).view(np.uint8)[...] = 0
