"""Checks on a state: a checksum of its bytes, and a search for values that are not finite."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["RunningChecksum", "checksum", "first_non_finite"]

CHUNK_ELEMENTS = 1 << 18
"""Values examined at once: their flags take 256 KiB at most, and stay in the cache."""


def checksum(data: NDArray[np.uint8], *, seed: int = 0) -> int:
    """Return the 64-bit xxHash (XXH3) of contiguous bytes. Releases the GIL."""
    return xxhash.xxh3_64_intdigest(data.data, seed)


class RunningChecksum:
    """The 64-bit xxHash (XXH3) of bytes that arrive piece by piece."""

    def __init__(self, first: bytes = b"") -> None:
        self._hash = xxhash.xxh3_64(first)

    def update(self, data: NDArray[np.uint8]) -> None:
        """Append contiguous bytes."""
        self._hash.update(data.data)

    @property
    def value(self) -> int:
        """The checksum of all bytes so far."""
        return self._hash.intdigest()


def first_non_finite(arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Return the first name whose array contains an infinity or a NaN; None if all are finite.

    Only floating-point and complex arrays are examined. They are C-contiguous. At most 256 KiB are
    allocated.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not _all_finite(array.reshape(-1)):
            return name
    return None


def _all_finite(values: NDArray[Any]) -> bool:
    if values.size <= CHUNK_ELEMENTS:
        return bool(np.isfinite(values).all())
    flags = np.empty(min(CHUNK_ELEMENTS, values.size), np.bool_)
    for start in range(0, values.size, CHUNK_ELEMENTS):
        chunk = values[start : start + CHUNK_ELEMENTS]
        if not np.isfinite(chunk, out=flags[: chunk.size]).all():
            return False
    return True
