"""The derivatives of one direction by complex step: nothing is to be written for analytic code.

A function is called with tangents in the imaginary parts of its arguments, scaled by a tiny power
of two: the imaginary parts of what it gives are the derivatives, without cancellation (Squire and
Trapp 1998, doi:10.1137/S003614459631241X), and scaling rounds nothing. What is called are single
steps: the real parts are discarded, so that state, adjoint and gradient have the bits that they
have without any of this.

Tangents are stored scaled. So code that is written by hand, which is linear in them, can be mixed
with this.
"""

import traceback
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import AdjointError, StepperError
from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.mappings import Assignable
from adjoint.steppers.protocol import Arrays
from adjoint.steppers.second_order.directions import Direction, complex_type
from adjoint.steppers.second_order.hooks import invoke

__all__ = [
    "DOUBLE_STEP",
    "SINGLE_STEP",
    "ComplexStep",
    "complex_is_reproducible",
    "complex_step_size",
]

_ERRORS: Any = getattr(np, "exceptions", np)
ComplexWarning: type[Warning] = _ERRORS.ComplexWarning

DOUBLE_STEP, SINGLE_STEP = 2.0**-100, 2.0**-40
"""Squared, they vanish beside 1, and numbers of that size have all their digits."""

WAYS_OUT = {
    "step": "write step_jvp (and step_curvature, unless the step is affine)",
    "step_vjp": "write step_jvp and step_curvature",
    "step_cost_vjp": "write step_cost_curvature",
    "terminal_cost_vjp": "write terminal_cost_curvature",
    "initial_state": "write initial_state_jvp (and initial_state_curvature, unless it is affine)",
    "initial_state_vjp": "write initial_state_jvp and initial_state_curvature",
}


@cache
def complex_is_reproducible() -> bool:
    """Return whether complex products have the same bits wherever their arrays lie.

    Not so in NumPy before 1.25 on processors with AVX-512: products are rounded otherwise if the
    result lies within 64 bytes of a factor, as small arrays of Python's allocator may.
    """
    rng = np.random.default_rng(0)
    real, imaginary = rng.standard_normal((2, 2, 64))
    memory = np.zeros(192, complex)
    factor, near, far = memory[:2], memory[2:4], memory[128:130]
    for other in (real + 1j * imaginary).T:
        factor[...] = other
        np.multiply(factor, other[::-1].copy(), out=near)
        np.multiply(factor, other[::-1].copy(), out=far)
        if near.tobytes() != far.tobytes():
            return False
    return True


def complex_step_size(stepper: FunctionStepper, function: str) -> float:
    """Return the step for the least exact of a stepper's arrays.

    Raises
    ------
    StepperError
        A state or a control cannot have an imaginary part. The function is named that needs it.
    """
    arrays = {f"control {name!r}": array for name, array in stepper.controls.items()}
    arrays |= {f"state {name!r}": array for name, array in stepper.adjoint.items()}
    for what, array in arrays.items():
        _require_real(what, array, function)
    single = any(array.dtype.itemsize < 8 for array in arrays.values())
    return SINGLE_STEP if single else DOUBLE_STEP


def _require_real(what: str, array: Any, function: str) -> None:
    reason = ""
    if type(array) is not np.ndarray:
        reason = f"is not held in memory ({type(array).__name__})"
    elif array.dtype.kind != "f" or array.dtype.itemsize < 4:
        reason = f"has dtype {array.dtype}"
    if reason:
        raise StepperError(
            f"second derivatives of {function}() cannot be computed by complex step, since {what} "
            f"{reason}: {WAYS_OUT[function]}"
        )


@contextmanager
def _no_real_part_alone() -> Generator[None, None, None]:
    """Make it an error if the imaginary part of a number is discarded in this context."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ComplexWarning)
        yield


class ComplexStep:
    """Second-order derivatives by complex step. Its scratch memory holds two complex states.

    Parameters
    ----------
    stepper
        Its functions are called.
    """

    def __init__(self, stepper: FunctionStepper) -> None:
        self._stepper = stepper
        self._point: dict[str, NDArray[Any]] = {
            name: np.empty(a.shape, complex_type(a.dtype)) for name, a in stepper.adjoint.items()
        }
        """The state at which a function is called."""
        after = {
            name: np.empty_like(self._point.get(name, array))
            for name, array in stepper.state.items()
        }
        self._after = Assignable(after)
        """What `step` and `initial_state` write."""
        self._adjoint = Assignable({name: after[name] for name in self._point})
        """What the transposed derivatives read and write, in the same memory."""

    def step(
        self, direction: Direction, step: int, state: Arrays, tangent: Arrays, out: Arrays
    ) -> None:
        """Write the tangent after a step to `out`."""
        given = step, self._moved(state, tangent), self._after
        self._call(direction, "step", "out", *given, step=step)
        for name, array in out.items():
            array[...] = np.imag(self._after[name])

    def step_vjp(
        self, direction: Direction, step: int, state: Arrays, adjoint: Arrays, tangent: Arrays
    ) -> None:
        """Pull the tangent of the adjoint back over a step; `adjoint` is that after the step."""
        for name, array in self._adjoint.items():
            array.real, array.imag = adjoint[name], direction.adjoint[name]
        point = self._moved(state, tangent)
        given = step, point, self._adjoint, direction.complex_gradient
        self._call(direction, "step_vjp", "adjoint", *given, step=step)
        for name, array in self._adjoint.items():
            direction.adjoint[name][...] = np.imag(array)

    def step_cost_vjp(
        self, direction: Direction, step: int, state: Arrays, tangent: Arrays
    ) -> None:
        """Add the curvature of the cost of a step."""
        self._add_curvature(direction, "step_cost_vjp", (step,), state, tangent)

    def terminal_cost_vjp(self, direction: Direction, state: Arrays, tangent: Arrays) -> None:
        """Add the curvature of the terminal cost."""
        self._add_curvature(direction, "terminal_cost_vjp", (), state, tangent)

    def initial_state(self, direction: Direction, out: Arrays) -> None:
        """Write the tangent of the initial state to `out`."""
        self._call(direction, "initial_state", "out", self._after)
        for name, array in out.items():
            array[...] = np.imag(self._after[name])

    def initial_state_vjp(self, direction: Direction, adjoint: Arrays) -> None:
        """Fold the tangent of the adjoint at step 0 into the products."""
        for name, array in self._adjoint.items():
            array.real, array.imag = adjoint[name], direction.adjoint[name]
        given = self._adjoint, direction.complex_gradient
        self._call(direction, "initial_state_vjp", "gradient", *given)

    # -- inside -------------------------------------------------------------------------------

    def _moved(self, state: Arrays, tangent: Arrays) -> Arrays:
        """Return the state, with the tangent in its imaginary part, and its replay data."""
        for name, array in self._point.items():
            array.real, array.imag = state[name], tangent[name]
        return {**state, **self._point}

    def _add_curvature(
        self,
        direction: Direction,
        function: str,
        step: tuple[int, ...],
        state: Arrays,
        tangent: Arrays,
    ) -> None:
        for array in self._adjoint.values():
            array[...] = 0
        given = *step, self._moved(state, tangent), self._adjoint, direction.complex_gradient
        self._call(direction, function, "adjoint", *given, step=step[0] if step else None)
        for name, array in self._adjoint.items():
            direction.adjoint[name][...] += np.imag(array)

    def _call(
        self,
        direction: Direction,
        function: str,
        argument: str,
        *given: Any,
        step: int | None = None,
    ) -> None:
        stepper = self._stepper
        written = self._after, self._adjoint, direction.complex_gradient
        before = stepper.controls
        try:
            stepper.exchange_controls(direction.complex_controls)
            with _no_real_part_alone():
                invoke(getattr(stepper, function), argument, written, *given)
        except AdjointError:
            raise
        except (TypeError, ValueError, ComplexWarning) as error:
            raise self._refusal(function, step, error) from error
        finally:
            stepper.exchange_controls(before)

    def _refusal(self, function: str, step: int | None, error: Exception) -> StepperError:
        frames = traceback.extract_tb(error.__traceback__)
        code = getattr(getattr(self._stepper, function), "__code__", None)
        source = None if code is None else code.co_filename
        place = next((f for f in reversed(frames) if f.filename == source), frames[-1])
        where = "" if step is None else f" of step {step}"
        return StepperError(
            f"{function}(){where} of {type(self._stepper).__name__} cannot be computed with "
            f"complex numbers, by which its second derivatives are ({error}; {place.filename}, "
            f"line {place.lineno}: {place.line}): compute with arrays of the dtype of the "
            f"arguments, or {WAYS_OUT[function]}"
        )
