"""The index of a snapshot file: for each row and rank, which state it holds, covered by a checksum.

An entry names the evaluation that wrote it, a number drawn for each one. So the states of another
evaluation, which had other controls or other data, are never taken for those of this one. An entry
that is damaged, or cannot be read, counts as no entry: its state is computed again.
"""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.storage.checksums import checksum
from adjoint.storage.file_io import read_fully

__all__ = ["ENTRY_BYTES", "INDEX_DTYPE", "MAX_EMPTY_ROWS", "Entry", "read_entries", "sound_entries"]

INDEX_DTYPE = np.dtype(
    [
        ("step", "<i8"),
        ("sequence", "<u8"),
        ("evaluation", "<u8"),
        ("checksum", "<u8"),
        ("cost", "<f8"),
        ("entry_checksum", "<u8"),
    ]
)
"""An entry as NumPy and HDF5 see it: the fields of `Entry`, and their XXH3."""

FIELDS = struct.Struct("<qQQQd")
OWN = struct.Struct("<Q")
ENTRY_BYTES = FIELDS.size + OWN.size

MAX_EMPTY_ROWS = 4096
"""The search for used rows stops after this many consecutive empty ones.

A file may have room for millions of rows of which a few are used: the first ones, except where
writes failed or states were discarded.
"""


class Entry(NamedTuple):
    """What one rank's part of a row holds. All bytes zero: nothing."""

    step: int
    sequence: int
    """Ordinal of this write in the file, starting at 1. Ranks with different ordinals disagree."""
    evaluation: int
    """The evaluation that wrote it; 0 in a file without a journal."""
    checksum: int
    """XXH3 of the block, see `adjoint.storage.checksums`."""
    cost: float
    """This rank's running total of the cost up to the state; nan if unknown."""

    def packed(self) -> bytes:
        """Return the bytes of the entry in the file."""
        data = FIELDS.pack(*self)
        return data + OWN.pack(checksum(data))

    @classmethod
    def unpacked(cls, data: bytes) -> "Entry | None":
        """Return the entry stored as these bytes; None if they are empty or damaged."""
        fields, own = data[: FIELDS.size], data[FIELDS.size :]
        return cls(*FIELDS.unpack(fields)) if own == OWN.pack(checksum(fields)) else None


def read_entries(descriptor: int, start: int, size: int, piece: int) -> bytes:
    """Return `size` bytes of the index from `start` on.

    A piece of the given size that cannot be read is returned as damaged entries: all bits set.
    """
    data = bytearray(size)
    try:
        read_fully(descriptor, memoryview(data), start)
    except OSError:
        if size <= piece:
            return b"\xff" * size
        return b"".join(
            read_entries(descriptor, start + done, min(piece, size - done), piece)
            for done in range(0, size, piece)
        )
    return bytes(data)


def sound_entries(data: bytes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each entry whether it is as it was written, and whether it is damaged.

    An entry that is empty is neither.
    """
    used = np.frombuffer(data, "<u8").reshape(-1, ENTRY_BYTES // 8).any(axis=1)
    sound = np.zeros_like(used)
    for number in np.flatnonzero(used).tolist():
        start = number * ENTRY_BYTES
        sound[number] = Entry.unpacked(data[start : start + ENTRY_BYTES]) is not None
    return sound, used & ~sound
