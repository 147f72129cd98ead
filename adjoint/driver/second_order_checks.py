"""What is refused of second-order products: directions that do not fit, wrong derivatives."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError
from adjoint.parallel import Communicator
from adjoint.steppers import Stepper
from adjoint.steppers.checks import NO_DERIVATIVE
from adjoint.steppers.mappings import is_masked
from adjoint.steppers.second_order import Identity, tangent_name

__all__ = ["checked_directions", "require_right", "speak_of_tangents"]


def checked_directions(
    stepper: Stepper, directions: Any, block: Any, *, single: bool
) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Return directions as arrays with a leading axis, and the size of a block.

    Raises
    ------
    ArgumentError
        They do not fit the stepper's controls. Not collective.
    """
    if not isinstance(directions, Mapping) or not directions:
        raise ArgumentError(
            f"directions are given by the name of a control, {{name: array}}, at least one: not "
            f"{directions!r}"
        )
    named = cast(Mapping[str, Any], directions)
    found = {name: _checked(stepper, name, a, single=single) for name, a in named.items()}
    counts = {name: len(array) for name, array in found.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise ArgumentError(
            "the leading axis counts the directions, of which there is at least one, and as many "
            f"for each control: not {counts}"
        )
    size = None if block is None else _positive("block", block)
    return found, size


def _checked(stepper: Stepper, name: str, given: Any, *, single: bool) -> NDArray[Any]:
    control = stepper.controls.get(name)
    if control is None:
        raise ArgumentError(f"there is no control {name!r}: there are {sorted(stepper.controls)}")
    if is_masked(given):
        raise ArgumentError(f"direction {name!r} cannot be a masked array: fill in its values")
    array = np.asarray(given)
    if array.dtype.kind in NO_DERIVATIVE:
        raise ArgumentError(
            f"direction {name!r} has dtype {array.dtype}: give floating-point numbers"
        )
    if not np.can_cast(array.dtype, control.dtype, casting="same_kind"):
        raise ArgumentError(
            f"direction {name!r} has dtype {array.dtype}: control {name!r} is {control.dtype}"
        )
    array = array[np.newaxis] if single else array
    if array.ndim == 0 or array.shape[1:] != control.shape:
        shape = array.shape[1:] if single else array.shape
        axis = "" if single else " behind an axis that counts the directions"
        raise ArgumentError(
            f"direction {name!r} has shape {shape}: it must have that of the control, "
            f"{control.shape}{axis}"
        )
    return array


def _positive(name: str, given: Any) -> int:
    try:
        value = 0 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        value = 0
    if value < 1:
        raise ArgumentError(f"{name}={given!r}: give an integer of at least 1, or None")
    return value


def require_right(identities: Sequence[Identity], comm: Communicator) -> dict[str, float]:
    """Return the largest error of each sort of identity, summed over ranks. Collective.

    Raises
    ------
    StepperError
        On every rank: one does not hold.
    """
    errors: dict[str, float] = {}
    ranks = comm.gather([(each.left, each.right, each.size) for each in identities])
    for number, identity in enumerate(identities):
        sums = [math.fsum(column) for column in zip(*(own[number] for own in ranks), strict=True)]
        total = identity.summed(*sums)
        if total.wrong:
            comm.agree(StepperError(total.wrong))
        name = f"{total.kind} of {total.function}"
        errors[name] = max(errors.get(name, 0.0), total.error)
    return errors


def speak_of_tangents(error: Exception, stepper: Stepper, *, besides: int) -> None:
    """Let an error say what the arrays are that are named in it, and where the memory has gone.

    `besides` is what directions take of the memory beside states.
    """
    message = str(error)
    for name in stepper.controls:
        for what in ("control", "gradient by"):
            quoted = f"{what} {tangent_name(name)!r}"
            product = "direction" if what == "control" else "product by"
            message = message.replace(quoted, f"{product} {name!r}")
    for name in stepper.adjoint:
        message = message.replace(repr(tangent_name(name)), f"the tangent of {name!r}")
    if besides and message.startswith("memory="):
        message += f"; directions take {besides} bytes of it for complex copies of the controls"
    if message != str(error):
        error.args = (message,)
