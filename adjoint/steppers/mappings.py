"""The mappings in which a `FunctionStepper` hands arrays to the functions of its user.

A state is read through read-only views. What a function writes, it
may write in place or assign: ``out["u"][:] = new`` and ``out["u"] = new`` have the same effect.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import StepperError
from adjoint.steppers.aligned import aligned_zeros
from adjoint.steppers.protocol import Arrays

__all__ = [
    "Assignable",
    "StateArrays",
    "is_masked",
    "named",
    "own_array",
    "refuse_masked",
    "zeros_like",
]


class Assignable(dict[str, NDArray[Any]]):
    """Arrays that a function may write in place or assign, under names that stay.

    What is assigned is copied at once, and reaches the array's own memory by `settle`, after the
    function has returned. So arrays behave as in any dict: one that was read before the assignment
    keeps its values, and two names can be swapped. It is read-only until then, since what was
    written to it would be lost.

    Parameters
    ----------
    arrays
        Where values go: arrays, or what can be assigned to like one (HDF5 datasets).
    """

    __slots__ = ("replaced",)

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.replaced: Arrays | None = None
        """The arrays of the names that were assigned, which `settle` puts back; None without."""

    def __missing__(self, name: str) -> NoReturn:
        raise StepperError(f"there is no array {name!r}: there are {list(self)}")

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        array = self[name]
        if value is array:  # what `out["u"] += x` assigns
            return
        super().__setitem__(name, _copied(name, value, array))
        self.replaced = {name: array, **(self.replaced or {})}
        _protect(array, protected=True)

    def settle(self) -> None:
        """Copy what was assigned to the memory that it is meant for."""
        for name, array in (self.replaced or {}).items():
            _protect(array, protected=False)
            array[...] = self[name]
            super().__setitem__(name, array)
        self.replaced = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def _refuse(self, *_: object) -> NoReturn:
        raise StepperError(f"the arrays {list(self)} stay: write their values")

    # A dict's own would pass `__setitem__` by.
    __delitem__ = pop = popitem = clear = cast(Any, _refuse)
    setdefault = cast(Any, MutableMapping.setdefault)
    update = cast(Any, MutableMapping.update)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self


class StateArrays(Assignable):
    """The arrays of one state, and the read-only views that functions get of them, made once."""

    __slots__ = ("read",)

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.read: Arrays = MappingProxyType({k: _read_only(v) for k, v in arrays.items()})


def is_masked(value: object) -> bool:
    """Return whether a value is a masked array, whose mask would be lost in a copy."""
    # numpy.ma is imported only where there may be one.
    return type(value) is not np.ndarray and np.ma.isMaskedArray(value)


def refuse_masked(what: str, value: object) -> None:
    """Raise `StepperError` if a value, which the error calls `what`, is a masked array."""
    if is_masked(value):
        raise StepperError(f"{what} cannot be a masked array: fill in what is masked")


def named(what: str, arrays: Any) -> Iterable[tuple[str, Any]]:
    """Return the items of what a user gives as a mapping; raise `StepperError` if it is none."""
    if not isinstance(arrays, Mapping):
        kind = type(arrays).__name__
        raise StepperError(f"{what} must be a mapping from name to array, not {kind}")
    return cast("Mapping[str, Any]", arrays).items()


def own_array(what: str, value: ArrayLike) -> NDArray[Any]:
    """Return a C-contiguous copy of a value; raise `StepperError` if it is a masked array."""
    refuse_masked(what, value)
    return np.array(value, order="C")


def zeros_like(arrays: Arrays) -> StateArrays:
    """Return zeros of the same names, shapes and dtypes, each on a cache line."""
    return StateArrays({k: aligned_zeros(v.shape, v.dtype) for k, v in arrays.items()})


def _copied(name: str, value: ArrayLike, array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a value, cast to the dtype of the array that it is assigned to."""
    refuse_masked(repr(name), value)
    shape = np.shape(value)
    if shape not in ((), array.shape):
        raise StepperError(f"{name!r} has shape {array.shape}: it cannot hold one of {shape}")
    copy = np.empty(array.shape, array.dtype)
    copy[...] = value
    return copy


def _protect(array: Any, *, protected: bool) -> None:
    """Let NumPy refuse, or allow again, what writes to an array; HDF5 datasets stay as they are."""
    if isinstance(array, np.ndarray):
        array.flags.writeable = not protected


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
