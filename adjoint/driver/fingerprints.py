"""What an evaluation depends on, hashed before it begins: controls, and what the stepper holds.

The journal keeps the hashes. A run is resumed only if they are the same; else it begins afresh.
"""

import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Capabilities
from adjoint.storage.checksums import RunningChecksum

__all__ = ["CONTROLS", "Fingerprints", "differing"]

CONTROLS = "the controls"

WHOLE_BYTES = 64 << 20
"""Longer arrays are hashed in part: 64 MiB take some milliseconds."""

SAMPLE_BYTES = 1 << 20
SAMPLE_PIECES = 256
"""Of longer arrays, memory maps and HDF5 datasets 256 pieces of 4 KiB are hashed."""

MAX_TEXT = 1500
"""Longest text of all names and hashes: more of them than fit in the journal become one."""

SCRATCH = ""
"""In place of the hash of an array that steps change."""


class Fingerprints:
    """The hashes of one stepper's controls and data. No method is collective.

    An array that steps change is scratch memory, and not data: it does not count.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._scratch: set[str] = set()
        self._has_watched = False

    def take(self, controls: str) -> dict[str, str]:
        """Return the hashes by name, with that of the controls, which is known.

        The stepper has been started, and no step has been taken.
        """
        held = self._held()
        if len(json.dumps(held)) > MAX_TEXT:
            running = RunningChecksum()
            for name in sorted(held):
                running.update(_bytes_of(name + held[name]))
            held = {"what the stepper holds": f"{running.value:016x}"}
        return {CONTROLS: controls, **held}

    @contextmanager
    def watching(self) -> Generator[None, None, None]:
        """Watch, the first time, which arrays the steps taken in this context change."""
        before = None if self._has_watched else self._held()
        yield
        if before is not None:
            self._scratch = set(differing(before, self._held()))
            self._has_watched = True

    def _held(self) -> dict[str, str]:
        held = self._capabilities.fingerprint()
        return {
            name: SCRATCH if name in self._scratch else _hash(value) for name, value in held.items()
        }


def differing(some: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Return the names of what has another hash, or is missing, on one side."""
    return [
        name
        for name in sorted(some.keys() | others.keys())
        if some.get(name) != others.get(name) and SCRATCH not in (some.get(name), others.get(name))
    ]


def _hash(value: Any) -> str:
    """Return a hash, in hexadecimal, of an array or of anything with a `repr`."""
    running = RunningChecksum()
    if not isinstance(getattr(value, "dtype", None), np.dtype):
        running.update(_bytes_of(value if isinstance(value, (bytes, str)) else repr(value)))
        return f"{running.value:016x}"
    running.update(_bytes_of(repr((value.dtype.str, tuple(value.shape)))))
    path = _path_of(value)
    size = value.dtype.itemsize * int(np.prod(value.shape, dtype=int))
    if value.dtype.hasobject:
        return f"{running.value:016x}"
    if path is None and size <= WHOLE_BYTES:
        running.update(_flat(value))
        return f"{running.value:016x}"
    if path is not None:
        running.update(_bytes_of(repr(_file_facts(path))))
    for piece in _sample(value):
        running.update(_flat(piece))
    return f"{running.value:016x}"


def _path_of(array: Any) -> str | None:
    """Return the file of a memory map or of an HDF5 dataset; None for an array in memory."""
    path = getattr(array, "filename", None) or getattr(
        getattr(array, "file", None), "filename", None
    )
    return None if path is None else os.fspath(path)


def _file_facts(path: str) -> tuple[str, int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return os.path.abspath(path), facts.st_size, facts.st_mtime_ns


def _sample(array: Any) -> Iterator[Any]:
    """Yield pieces of an array, spread evenly over all of it; the whole of it if it is short."""

    def size(shape: tuple[int, ...]) -> int:
        return array.dtype.itemsize * int(np.prod(shape, dtype=int))

    shape, at_once = tuple(array.shape), SAMPLE_BYTES // SAMPLE_PIECES
    if size(shape) <= SAMPLE_BYTES:
        yield array[()]
        return
    axis = next((k for k in range(len(shape)) if size(shape[k + 1 :]) <= at_once), len(shape) - 1)
    count = max(1, at_once // size(shape[axis + 1 :]))
    outer = shape[: axis + 1]
    for place in np.linspace(0, np.prod(outer, dtype=int) - 1, SAMPLE_PIECES).astype(int):
        *before, last = map(int, np.unravel_index(place, outer))
        start = min(last, shape[axis] - count)
        yield array[(*before, slice(start, start + count))]


def _flat(array: Any) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _bytes_of(text: bytes | str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)
