"""What the functions of a user return and what they must not write, refused in a sentence."""

import re
import traceback
from reprlib import repr as short_repr
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np

from adjoint.errors import StepperError
from adjoint.steppers.mappings import is_masked
from adjoint.steppers.protocol import Arrays

__all__ = ["explain_read_only", "real_number", "require_nothing", "returned"]

READ_ONLY = re.compile(r"read-?only|mappingproxy", re.IGNORECASE)
"""What NumPy, Cython and Python say of an array or a mapping that must not be written."""

ASSIGNMENT = re.compile(r"[-+*/@%&|^<>]*=(?!=)")


def returned(function: str, value: object, argument: str) -> StepperError:
    """Return the error for a function that returns a value where it must write to an argument."""
    return StepperError(
        f"{function}() returned its result ({type(value).__name__}), which would be lost: write it "
        f'as {argument}["name"][:] = new or {argument}["name"] = new, and return nothing'
    )


def require_nothing(function: str, value: object, argument: str) -> None:
    """Raise `StepperError` if a function has returned a value."""
    if value is not None:
        raise returned(function, value, argument)


def real_number(value: Any, what: str) -> float:
    """Return a cost as a float.

    Raises
    ------
    StepperError
        It is no number, or a complex one, masked, or an array of several numbers.
    """
    dtype = getattr(value, "dtype", type(value).__name__)
    if "complex" not in str(dtype) and not is_masked(value):
        try:
            return float(value.item() if hasattr(value, "item") else value)
        except (TypeError, ValueError, RuntimeError):
            pass
    shape = getattr(value, "shape", ())
    given = f"an array of shape {shape}" if shape else short_repr(value)
    raise StepperError(f"{what} returned {given}: a cost is one real number")


def explain_read_only(error: BaseException) -> None:
    """Raise `StepperError` if a user's function failed because it wrote to what it may only read.

    Call it where the error is caught, in the function that called the user's.
    """
    tb = error.__traceback__
    if isinstance(error, StepperError) or tb is None or tb.tb_next is None:
        return
    if READ_ONLY.search(str(error)) is None:
        return
    called = tb.tb_next.tb_frame
    states = [value for value in called.f_locals.values() if isinstance(value, MappingProxyType)]
    place = traceback.extract_tb(tb)[-1]
    line = place.line or ""
    written = _written(tb, line, states[0]) if states else []
    raise StepperError(
        f"{called.f_code.co_name}() wrote to {' or '.join(map(repr, written)) or 'an array'}, "
        f"which is read-only ({error}; {place.filename}, line {place.lineno}: {line}). A state "
        "that a function reads is, and so is an array that it writes once another was assigned to "
        "the same name. A class that refreshes ghost cells in the state it reads says "
        "writes_ghosts = True"
    ) from error


def _written(tb: TracebackType, line: str, state: Arrays) -> list[str]:
    """Return which arrays of a state a line of code wrote to, as far as its text tells."""
    while tb.tb_next is not None:
        tb = tb.tb_next
    variables = {k: v for k, v in tb.tb_frame.f_locals.items() if isinstance(v, np.ndarray)}

    def appears(name: str, text: str) -> bool:
        return re.search(rf"""["']{re.escape(name)}["']""", text) is not None or any(
            re.search(rf"\b{variable}\b", text) and np.may_share_memory(value, state[name])
            for variable, value in variables.items()
        )

    for text in (ASSIGNMENT.split(line)[0], line):
        found = [name for name in state if appears(name, text)]
        if found:
            return found
    return list(state)
