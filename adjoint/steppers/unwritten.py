"""Entries of a state that a step leaves unwritten: what they hold depends on the schedule."""

import numpy as np

from adjoint.errors import StepperError
from adjoint.steppers.protocol import Arrays

__all__ = ["mark", "require_written"]

MARK = 0xFF
"""A byte. An entry of nothing else is a NaN that no computation gives, and that stays what it is
where a number is added to it."""


def mark(arrays: Arrays) -> None:
    """Fill the arrays of floating-point numbers with what `require_written` finds again."""
    for array in arrays.values():
        if array.dtype.kind in "fc":
            array.reshape(-1).view(np.uint8)[...] = MARK


def require_written(arrays: Arrays | None) -> bool:
    """Return whether the first step has written all of a marked state; False if there is none.

    Raises
    ------
    StepperError
        It has left some entries as they were.
    """
    if arrays is None:
        return False
    for name, array in arrays.items():
        if array.dtype.kind not in "fc":
            continue
        entries = array.reshape(-1).view(np.uint8).reshape(array.size, array.itemsize)
        left = np.count_nonzero((entries == MARK).all(axis=1))
        if left:
            raise StepperError(
                f"step() left {left} of {array.size} entries of {name!r} unwritten: write all of "
                f'them, out["{name}"][:] = new; `out = …` or `u = …` alone only gives a new array '
                "the name of the old one"
            )
    return True
