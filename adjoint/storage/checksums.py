"""Checks on arrays: checksums of their bytes, and a search for values that are not finite."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64, xxh3_64_intdigest

__all__ = ["RunningChecksum", "StateHash", "checksum", "first_non_finite", "hash_of"]

CHUNK_BYTES = 1 << 22
"""Arrays that are not in memory (memory maps, HDF5 datasets) are read in such parts."""

CHUNK_ELEMENTS = 1 << 18
"""Values examined at once: their flags take 256 KiB at most, and stay in the cache."""

MAX_WHOLE_BYTES = 1 << 20
"""States up to this size are hashed whole: 20 to 50 µs for 1 MiB, several times less than a step
that reads and writes as much."""

SAMPLE_PIECES = 16
PIECE_BYTES = 1024
"""Of a larger state, about this many pieces of this size are hashed. Most of the time is spent on
the first byte of each, which is on a page and in a line of its own: up to 0.5 µs."""

GOLDEN_RATIO = 0x9E3779B97F4A7C15
"""Multiplying by it spreads successive steps over 64 bits (Knuth, The Art of Computer Programming,
volume 3, section 6.4)."""

X87_BYTES = 10 if np.finfo(np.longdouble).nmant == 63 else 0
"""Bytes of a long double that have a meaning, if the others are padding; else 0."""


def checksum(data: NDArray[np.uint8] | bytes, *, seed: int = 0) -> int:
    """Return the 64-bit xxHash (XXH3) of contiguous bytes. Releases the GIL."""
    return xxh3_64_intdigest(memoryview(data), seed)


class RunningChecksum:
    """The 64-bit xxHash (XXH3) of bytes that arrive piece by piece."""

    def __init__(self, first: bytes = b"") -> None:
        self._hash = xxh3_64(first)

    def update(self, data: NDArray[np.uint8]) -> None:
        """Append contiguous bytes."""
        self._hash.update(data.data)

    @property
    def value(self) -> int:
        """The checksum of all bytes so far."""
        return self._hash.intdigest()


class StateHash:
    """A 64-bit hash of states whose arrays are all like those of one state.

    Of states above 1 MiB a sample is hashed: the same places for the same step.
    """

    def __init__(self, like: Mapping[str, NDArray[Any]]) -> None:
        arrays = like.values()
        self._is_sampled = sum(array.nbytes for array in arrays) > MAX_WHOLE_BYTES
        self._pieces = max(1, SAMPLE_PIECES // len(arrays))
        """Pieces of each array."""
        is_plain = all(array.dtype.isbuiltin == 1 and not _has_padding(array) for array in arrays)
        self._is_direct = is_plain and not self._is_sampled

    def of(self, arrays: Mapping[str, NDArray[Any]], step: int) -> int:
        """Return the hash of the state at `step`. Its arrays are C-contiguous."""
        value = 0
        if self._is_direct:
            for array in arrays.values():
                value = xxh3_64_intdigest(array, value)
        else:
            for array in arrays.values():
                value = xxh3_64_intdigest(self._bytes_of(array, step), value)
        return value

    def _bytes_of(self, array: NDArray[Any], step: int) -> bytes:
        if self._is_sampled:
            array = _sample(array.reshape(-1), self._pieces, step)
        data = array.tobytes()
        if _has_padding(array):
            raw = np.frombuffer(data, np.uint8).reshape(-1, np.dtype(np.longdouble).itemsize)
            return raw[:, :X87_BYTES].tobytes()
        return data


def hash_of(arrays: Mapping[str, Any]) -> str:
    """Return a hash of names and values of arrays, in hexadecimal; HDF5 datasets are arrays too."""
    running = RunningChecksum()
    for name in sorted(arrays):
        running.update(np.frombuffer(name.encode(), np.uint8))
        for part in _parts(arrays[name]):
            running.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
    return f"{running.value:016x}"


def _parts(array: Any) -> Iterator[NDArray[Any]]:
    """Yield an array in parts that fit in memory; whole if it is there already."""
    if array.ndim == 0 or type(array) is np.ndarray:
        yield np.asarray(array)
        return
    row_bytes = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=int)))
    rows = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, array.shape[0], rows):
        yield np.asarray(array[start : start + rows])


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


def _sample(values: NDArray[Any], pieces: int, step: int) -> NDArray[Any]:
    """Return pieces at equal distances of a one-dimensional array, as rows; all of a small one."""
    length = -(-PIECE_BYTES // values.itemsize)
    distance = values.size // pieces
    if distance <= length:
        return values
    first = (step * GOLDEN_RATIO % (1 << 64) >> 32) % (distance - length + 1)
    return values[: pieces * distance].reshape(pieces, distance)[:, first : first + length]


def _has_padding(array: NDArray[Any]) -> bool:
    return X87_BYTES > 0 and array.dtype.char in "gG"
