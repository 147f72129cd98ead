"""The data that an object holds: the arrays among its attributes, by name."""

from collections.abc import Collection, Iterable
from typing import Any, cast

import numpy as np

__all__ = ["held_arrays"]


def held_arrays(holder: object, *, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Return every attribute that is an array, or an array in a tuple, list or dict, by name.

    Attributes of the object and of its classes count. Arrays are those of NumPy, memory maps, and
    whatever else has a NumPy dtype and can be indexed, such as HDF5 datasets. Nothing is copied.
    """
    attributes: dict[str, Any] = {}
    for kind in reversed(type(holder).__mro__):
        attributes |= vars(kind)
    attributes |= vars(holder)
    arrays: dict[str, Any] = {}
    for name, value in attributes.items():
        if name not in leave_out:
            for place, item in _items(value):
                if _is_array(item):
                    arrays[name + place] = item
    return arrays


def _items(value: object) -> Iterable[tuple[str, object]]:
    """Yield the items of a container, each with its place; otherwise the value itself."""
    if isinstance(value, dict):
        mapping = cast("dict[object, object]", value)
        return [(f"[{key!r}]", item) for key, item in mapping.items()]
    if isinstance(value, (list, tuple)):
        sequence = cast("list[object]", value)
        return [(f"[{number}]", item) for number, item in enumerate(sequence)]
    return [("", value)]


def _is_array(value: object) -> bool:
    has_dtype = isinstance(getattr(value, "dtype", None), np.dtype)
    return has_dtype and hasattr(value, "__getitem__") and not isinstance(value, (type, np.generic))
