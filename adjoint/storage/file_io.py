"""Reads and writes at a byte offset of an open file that move everything or raise.

One call of the operating system may move fewer bytes than it was asked to.
"""

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHUNK_BYTES",
    "DESCRIPTOR",
    "MAX_CALL_BYTES",
    "as_bytes",
    "close_once",
    "closing",
    "cut_short",
    "duplicated",
    "hold",
    "read_fully",
    "write_fully",
]

MAX_CALL_BYTES = 1 << 30
"""Longer transfers are split: `pwrite` and MPI silently cut off what is above 2 GiB."""

CHUNK_BYTES = 1 << 22
"""Size of the pieces in which data are read that are only compared with their checksum."""

DESCRIPTOR = "descriptor"


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of a C-contiguous array: a view."""
    return array.reshape(-1).view(np.uint8)


def closing(owner: object, descriptor: int) -> Callable[[], None]:
    """Return a function that closes a descriptor once; the garbage collection of `owner` calls it.

    Without that, the disk space of a temporary file would stay taken until the process ends.
    """
    held = {DESCRIPTOR: descriptor}
    _close_with(owner, held)
    return partial(close_once, held)


def duplicated(owner: object, descriptor: int) -> tuple[int, Callable[[], None]]:
    """Return a duplicate of a descriptor, and a function as of `closing`. Raises `OSError`."""
    held: dict[str, int] = {}
    _close_with(owner, held)
    hold(held, os.dup, descriptor)
    return held[DESCRIPTOR], partial(close_once, held)


def hold(held: dict[str, int], call: Callable[..., int], *arguments: Any) -> None:
    """Keep the descriptor that a call of the operating system returns as `DESCRIPTOR`.

    Called and kept in one call of C: signals come most often in a call that takes long, and one
    that came between would leave the descriptor open for ever.
    """
    held.update(zip([DESCRIPTOR], map(call, *zip(arguments, strict=True)), strict=True))


def _close_with(owner: object, held: dict[str, int]) -> None:
    # Not when the process exits: threads may still use it then, and it is closed anyway.
    finalize(owner, close_once, held).atexit = False


def close_once(held: dict[str, int]) -> None:
    """Close the descriptor called `DESCRIPTOR`, unless it has been closed already."""
    # Taken and closed in one call of C: a signal that came between would leave it open for ever.
    for _ in map(os.close, iter(partial(held.pop, DESCRIPTOR, None), None)):
        pass


def write_fully(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. Raises `OSError`."""
    while data:
        count = os.pwrite(descriptor, data[:MAX_CALL_BYTES], offset)
        data, offset = data[count:], offset + count


def read_fully(descriptor: int, data: memoryview, offset: int) -> None:
    """Fill `data` from `offset` on. Raises `OSError`, also if the file ends before that."""
    while data:
        count = os.preadv(descriptor, [data[:MAX_CALL_BYTES]], offset)
        if count == 0:
            raise cut_short(offset, offset + len(data))
        data, offset = data[count:], offset + count


def cut_short(length: int, end: int) -> OSError:
    """Return the error for a file of this length that must reach to the byte `end`."""
    return OSError(
        errno.ENODATA,
        f"the file ends at byte {length} instead of {end}: another program has cut it short",
    )
