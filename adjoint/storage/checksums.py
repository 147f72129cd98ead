"""How a state is known to be sound: a checksum of its bytes, and no value that is not finite."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["RunningChecksum", "checksum", "first_non_finite"]

CHUNK_ELEMENTS = 1 << 18
"""Values looked at in one go: the flags of a chunk stay in the cache, and take 256 KiB at most."""


def checksum(data: NDArray[np.uint8], *, seed: int = 0) -> int:
    """Return the 64-bit xxHash (XXH3) of contiguous bytes. Lets other threads run meanwhile."""
    return xxhash.xxh3_64_intdigest(data.data, seed)


class RunningChecksum:
    """The 64-bit xxHash (XXH3) of bytes that come piece by piece."""

    def __init__(self, first: bytes = b"") -> None:
        self._hash = xxhash.xxh3_64(first)

    def update(self, data: NDArray[np.uint8]) -> None:
        """Go on with contiguous bytes."""
        self._hash.update(data.data)

    @property
    def value(self) -> int:
        """What it has come to so far."""
        return self._hash.intdigest()


def first_non_finite(arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Return the first name whose array has an infinity or a NaN; None if all are finite.

    Only floating-point and complex arrays are looked at. The arrays are C-contiguous, and nothing
    of their size is allocated.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not _all_finite(array.reshape(-1)):
            return name
    return None


def _all_finite(values: NDArray[Any]) -> bool:
    flags = np.empty(min(CHUNK_ELEMENTS, values.size), np.bool_)
    for start in range(0, values.size, CHUNK_ELEMENTS):
        chunk = values[start : start + CHUNK_ELEMENTS]
        if not np.isfinite(chunk, out=flags[: chunk.size]).all():
            return False
    return True
