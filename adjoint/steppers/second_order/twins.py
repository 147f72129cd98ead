"""Second-order products by twins: the same solver in complex arithmetic, one leaf at a time.

A twin of a stepper has its class, and arrays of the complex dtype. For each leaf, or each step, its
state is that of the stepper, with the tangent of one direction in the imaginary part, scaled by a
tiny power of two: so real parts never leave the bits of the stepper's own run.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from adjoint.errors import StepperError
from adjoint.steppers.protocol import Arrays, Stepper, state_bytes
from adjoint.steppers.second_order.complex_step import DOUBLE_STEP, SINGLE_STEP
from adjoint.steppers.second_order.directions import Direction
from adjoint.steppers.second_order.leaves import SecondOrderOfLeaves

__all__ = ["SecondOrderByTwins"]


class SecondOrderByTwins(SecondOrderOfLeaves):
    """Second-order products of a stepper that has twins, one for each direction.

    ``twin(controls, accumulators, like, *, gauss_newton)`` returns one, with these controls and
    accumulators. With another twin, `like`, unless that is None, it may share all that depends on
    neither. With `gauss_newton`, what costs within a leaf give to the adjoint has no real part.

    Parameters
    ----------
    inner
        A stepper with a method `twin`.
    directions, gauss_newton
        As for `SecondOrderOfLeaves`.

    Raises
    ------
    StepperError
        A control or a state is not held in memory, or not real.
    """

    def __init__(
        self, inner: Stepper, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> None:
        arrays = {f"control {name!r}": array for name, array in inner.controls.items()}
        arrays |= {f"state {name!r}": array for name, array in inner.adjoint.items()}
        for what, array in arrays.items():
            if type(array) is not np.ndarray or array.dtype.kind != "f":
                raise StepperError(
                    f"second derivatives of {type(inner).__name__} are taken by complex numbers, "
                    f"and {what} is no array of real numbers in memory"
                )
        single = any(array.dtype.itemsize < 8 for array in arrays.values())
        super().__init__(
            inner,
            directions,
            gauss_newton=gauss_newton,
            scale=SINGLE_STEP if single else DOUBLE_STEP,
            is_complex=True,
        )
        make: Any = self._has.twin
        self._twins: list[Any] = []
        like: Stepper | None = None
        for direction in self._directions.singles:
            grown = dict(direction.complex_gradient)
            given = direction.complex_controls, grown, like
            like = make(*given, gauss_newton=gauss_newton)
            self._twins.append(like)

    @property
    def besides_bytes(self) -> int:
        """Memory of the complex controls, and of the twins' state and adjoint."""
        twin = self._twins[0]
        return super().besides_bytes + state_bytes(twin.state) + state_bytes(twin.adjoint)

    def scratch_bytes(self, steps: int) -> int:
        """Return the memory of a twin's tape."""
        return self._twins[0].tape_bytes(steps)

    def initial_tangent(self, direction: Direction, out: Arrays) -> None:
        """Write the tangent of the initial state to `out`."""
        twin = self._twins[direction.index]
        twin.start()
        _tangents(twin.state, out)

    def advance_tangent(
        self, direction: Direction, start: int, stop: int, state: Arrays, tangent: Arrays
    ) -> None:
        """Take the tangent from `start` to `stop`, in place, given the state at `start`."""
        twin = self._at(direction, state, tangent)
        twin.advance(start, stop)
        _tangents(twin.state, tangent)

    def turn_tangent(self, direction: Direction, state: Arrays, tangent: Arrays) -> None:
        """Write the tangents of the adjoint at the end to `direction.adjoint`."""
        twin = self._at(direction, state, tangent)
        twin.turn(0.0)
        _tangents(twin.adjoint, direction.adjoint)

    def pull_back_tangent(
        self,
        direction: Direction,
        start: int,
        stop: int,
        state: Arrays,
        tangent: Arrays,
        adjoint: Arrays | None,
    ) -> None:
        """Take `direction.adjoint` from `stop` to `start`, and add to the direction's gradient."""
        twin = self._at(direction, state, tangent)
        twin.record(start, stop, reach_stop=False)
        self._set_adjoint(twin, direction, adjoint)
        twin.pull_back(start, stop)
        _tangents(twin.adjoint, direction.adjoint)

    def finish_tangent(self, direction: Direction, adjoint: Arrays | None) -> None:
        """Fold `direction.adjoint` at step 0 into the direction's gradient."""
        twin = self._twins[direction.index]
        self._set_adjoint(twin, direction, adjoint)
        twin.finish()

    def _at(self, direction: Direction, state: Arrays, tangent: Arrays) -> Any:
        """Return the twin of a direction, at a state and its tangent."""
        twin = self._twins[direction.index]
        for name, array in twin.state.items():
            array.real, array.imag = state[name], tangent[name]
        return twin

    def _set_adjoint(self, twin: Any, direction: Direction, adjoint: Arrays | None) -> None:
        for name, array in twin.adjoint.items():
            array.real = 0 if adjoint is None else adjoint[name]
            array.imag = direction.adjoint[name]


def _tangents(arrays: Arrays, out: Arrays) -> None:
    for name, array in out.items():
        array[...] = np.imag(arrays[name])
