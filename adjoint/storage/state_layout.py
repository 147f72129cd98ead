"""The layout of one rank's state in one contiguous block of bytes.

A state is several named arrays. In memory, in the snapshot file and in a transfer it is one block,
so that a transfer is one contiguous range. Within the block the arrays lie in the order in which
the stepper names them, each beginning on a cache line; the arrays of a block are views of its
bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError

__all__ = [
    "LARGEST_ALIGNMENT",
    "PAGE_BYTES",
    "Field",
    "StateLayout",
    "bytes_in_file",
    "bytes_in_memory",
]

FIELD_ALIGNMENT = 64
"""A cache line, and the widest vector register."""

PAGE_BYTES = 4096
"""Large blocks begin and end on a page boundary, in memory and in the file: direct I/O needs it."""

LARGE_BYTES = 64 << 10
"""From this size on a state has pages of its own in memory."""

LARGEST_ALIGNMENT = 1 << 20
"""Alignment of large blocks in the file: a multiple of the stripe of most parallel file systems."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where one array lies in a block."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    """Bytes from the beginning of the block."""

    @property
    def nbytes(self) -> int:
        """Size of the array."""
        return self.dtype.itemsize * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class StateLayout:
    """Where each array of one rank's state lies in a block. Equal layouts hold the same states."""

    fields: tuple[Field, ...]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "StateLayout":
        """Return the layout of the given arrays, in the order of the mapping.

        Raises
        ------
        StepperError
            A name is not text, or an array is not C-contiguous or is not plain numbers.
        """
        for name, array in arrays.items():
            _require_plain(name, array)
        return cls.shaped(arrays)

    @classmethod
    def shaped(cls, arrays: Mapping[str, Any]) -> "StateLayout":
        """Return the layout of anything with these shapes and dtypes, such as HDF5 datasets."""
        fields: list[Field] = []
        end = 0
        for name, array in arrays.items():
            field = Field(name, tuple(array.shape), np.dtype(array.dtype), 0)
            field = replace(field, offset=_round_up(end, FIELD_ALIGNMENT))
            fields.append(field)
            end = field.offset + field.nbytes
        return cls(tuple(fields))

    @property
    def nbytes(self) -> int:
        """Bytes up to the end of the last field: what is written, read and checksummed."""
        return max((field.offset + field.nbytes for field in self.fields), default=0)

    @property
    def memory_bytes(self) -> int:
        """What a block takes of the memory budget: `nbytes` rounded up to cache lines."""
        return bytes_in_memory(self.nbytes)

    @property
    def page_bytes(self) -> int:
        """`nbytes` rounded up to whole pages."""
        return _round_up(self.nbytes, PAGE_BYTES)

    @property
    def is_large(self) -> bool:
        """Whether a block has pages of its own in memory, which are then moved as a whole."""
        return self.nbytes >= LARGE_BYTES

    @property
    def moved_bytes(self) -> int:
        """Size of a block's memory, and of a transfer."""
        return self.page_bytes if self.is_large else self.memory_bytes

    @property
    def block_bytes(self) -> int:
        """Size of a block in a row of the file.

        `nbytes` rounded up to 1 MiB, or to 4 KiB if it is less than 1 MiB. Zero for a rank without
        state.
        """
        return bytes_in_file(self.nbytes)

    def views(self, block: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the arrays in a block of at least `nbytes`: views that share its memory."""
        return {
            field.name: np.ndarray(field.shape, field.dtype, block.data, field.offset)
            for field in self.fields
        }

    def description(self) -> list[dict[str, Any]]:
        """Return the fields as JSON can hold them."""
        return [
            {
                "name": field.name,
                "shape": list(field.shape),
                "dtype": field.dtype.str,
                "type": field.dtype.name,
                "offset": field.offset,
            }
            for field in self.fields
        ]


def bytes_in_memory(nbytes: int) -> int:
    """Return what a state of `nbytes` takes of the memory budget: whole cache lines."""
    return _round_up(nbytes, FIELD_ALIGNMENT)


def bytes_in_file(nbytes: int) -> int:
    """Return the size of a state of `nbytes` in a row of the file."""
    alignment = min(LARGEST_ALIGNMENT, _round_up(nbytes, PAGE_BYTES))
    return _round_up(nbytes, alignment) if alignment else 0


def _require_plain(name: object, array: object) -> None:
    if not isinstance(name, str):
        raise StepperError(f"the names of a state's arrays must be text, not {name!r}")
    if not isinstance(array, np.ndarray):
        raise StepperError(f"state {name!r} must be a NumPy array, not a {type(array).__name__}")
    plain = cast("NDArray[Any]", array)
    if plain.dtype.hasobject or plain.dtype.names is not None:
        raise StepperError(
            f"state {name!r} has dtype {plain.dtype}: a snapshot can hold plain numbers only, "
            "so use one array for each field, and numbers in place of objects"
        )
    if not plain.flags.c_contiguous:
        raise StepperError(
            f"state {name!r} of shape {plain.shape} is not C-contiguous: "
            "allocate it as an array of its own, or with numpy.ascontiguousarray"
        )


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
