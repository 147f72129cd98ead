"""Steppers that break their protocol, and arguments out of range, refused before anything runs."""

import operator
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.mappings import is_masked, refuse_masked
from adjoint.steppers.protocol import Stepper

__all__ = ["check_controls", "check_num_steps", "check_stepper"]

METHODS = ("start", "advance", "record", "turn", "pull_back", "finish")
ARRAYS = ("state", "adjoint", "controls", "accumulators")

NO_DERIVATIVE = "biumMSUO"
"""Kinds of dtypes that have no derivative. Those of extensions (bfloat16) are "V", and have."""


def check_stepper(stepper: Stepper) -> None:
    """Raise `StepperError` unless the stepper has the members and arrays that a sweep needs."""
    if isinstance(stepper, type):
        raise StepperError(
            f"{stepper.__name__} is a class: give an object of it, {stepper.__name__}(…)"
        )
    missing = [name for name in (*ARRAYS, *METHODS) if not hasattr(stepper, name)]
    if missing:
        raise StepperError(
            f"{type(stepper).__name__} is not a stepper: it has no {', '.join(missing)}; "
            "derive it from adjoint.FunctionStepper, or implement adjoint.Stepper"
        )
    state = stepper.state
    if not state:
        raise StepperError("the stepper's state has no arrays")
    for name, array in state.items():
        _check_array(f"state {name!r}", array)
    for name, array in stepper.adjoint.items():
        _check_array(f"adjoint {name!r}", array)
        _check_same_shape(f"adjoint {name!r}", array, f"state {name!r}", state.get(name))
        _check_derivable(f"state {name!r}", stepper.state[name])
    if not stepper.adjoint:
        raise StepperError("the stepper's adjoint has no arrays: nothing would be differentiated")
    if set(stepper.controls) != set(stepper.accumulators):
        raise StepperError(
            f"controls {sorted(stepper.controls)} and accumulators {sorted(stepper.accumulators)} "
            "must have the same names"
        )
    _check_controls(stepper)
    _check_names(stepper)


def _check_names(stepper: Stepper) -> None:
    has = Capabilities.of(stepper)
    for attribute in ("distributed", "per_step"):
        given = getattr(stepper, attribute, ())
        if isinstance(given, str):
            raise StepperError(
                f"{attribute}={given!r} must be a collection of names: write ({given!r},)"
            )
        unknown = getattr(has, attribute) - set(stepper.controls)
        if unknown:
            raise StepperError(f"{attribute} names {sorted(unknown)}, which are not controls")


def _check_controls(stepper: Stepper) -> None:
    for name, control in stepper.controls.items():
        grown = stepper.accumulators[name]
        refuse_masked(f"control {name!r}", control)
        _check_derivable(f"control {name!r}", control)
        _check_derivable(f"accumulator {name!r}", grown)
        _check_same_shape(f"accumulator {name!r}", grown, f"control {name!r}", control)


def check_num_steps(num_steps: Any, stepper: Stepper) -> int | None:
    """Return `num_steps` as an int, or None for a stepper that finds the end of the run.

    Raises
    ------
    ArgumentError
        It is not an integer, is less than 1, or is None for a stepper that does not find the end.
    """
    if num_steps is None:
        if not Capabilities.of(stepper).finds_end:
            raise ArgumentError(
                "num_steps=None is for steppers that know where the run ends: they have `finished` "
                f"and `position`, {type(stepper).__name__} has not"
            )
        return None
    try:
        steps = operator.index(num_steps)
    except TypeError:
        raise ArgumentError(f"num_steps must be an integer, not {num_steps!r}") from None
    if steps < 1:
        raise ArgumentError(f"num_steps={steps}: there must be at least one step to reverse")
    return steps


def check_controls(stepper: Stepper, values: Any) -> None:
    """Raise `ArgumentError` unless every value fits the control of its name."""
    if not isinstance(values, Mapping):
        raise ArgumentError(
            f"controls are given by name, {{name: array}}, not as {type(values).__name__}: an "
            "optimiser over flat arrays needs a function that converts both ways"
        )
    for name, value in cast(Mapping[str, Any], values).items():
        control = stepper.controls.get(name)
        if control is None:
            raise ArgumentError(
                f"there is no control {name!r}: there are {sorted(stepper.controls)}"
            )
        if is_masked(value):
            raise ArgumentError(f"control {name!r} cannot be a masked array: fill in its values")
        if _is_read_only(control):
            raise ArgumentError(f"control {name!r} is read-only: give the stepper a copy of it")
        if np.shape(value) != control.shape:
            raise ArgumentError(
                f"control {name!r} has shape {control.shape}, not {np.shape(value)}"
            )
        if not np.can_cast(np.asarray(value).dtype, control.dtype, casting="same_kind"):
            raise ArgumentError(
                f"control {name!r} is {control.dtype}: it cannot hold {np.asarray(value).dtype}"
            )


def _check_array(what: str, array: Any) -> None:
    refuse_masked(what, array)
    if not isinstance(array, np.ndarray):
        raise StepperError(f"{what} must be a NumPy array, not {type(array).__name__}")
    if array.dtype.hasobject:
        raise StepperError(f"{what} has dtype {array.dtype}: objects cannot be kept")
    if not array.flags.c_contiguous or not array.flags.writeable:
        raise StepperError(
            f"{what} must be C-contiguous and writeable: np.ascontiguousarray makes it so"
        )


def _check_derivable(what: str, array: NDArray[Any]) -> None:
    """Raise `StepperError` unless an array has a derivative: real or complex numbers."""
    replay = "; a state that has no derivative is named in replay_data="
    if array.dtype.kind in NO_DERIVATIVE:
        raise StepperError(
            f"{what} has dtype {array.dtype}, which has no derivative: give an array of "
            "floating-point numbers" + (replay if what.startswith("state") else "")
        )


def _is_read_only(array: Any) -> bool:
    return isinstance(array, np.ndarray) and not array.flags.writeable


def _check_same_shape(
    what: str, array: NDArray[Any], like: str, other: NDArray[Any] | None
) -> None:
    if other is None:
        raise StepperError(f"there is {what} but no {like}")
    if array.shape != other.shape:
        raise StepperError(f"{what} has shape {array.shape}, but {like} has {other.shape}")
