"""Where one rank's part of every row lies in a snapshot file: plain byte offsets.

The HDF5 library makes the file; what moves bytes afterwards needs no more than this.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from adjoint.errors import ArgumentError
from adjoint.storage.layout import StateLayout

__all__ = ["ENTRY_BYTES", "Entry", "Placement"]

ENTRY_FORMAT = struct.Struct("<qQQ")
ENTRY_BYTES = ENTRY_FORMAT.size


class Entry(NamedTuple):
    """What the index says of one rank's part of a row. All zero: there is no state in it."""

    step: int
    sequence: int
    """The how-manieth write of its run it is, from 1: ranks whose numbers differ disagree."""
    checksum: int

    def packed(self) -> bytes:
        """Return the entry as it is in the file."""
        return ENTRY_FORMAT.pack(*self)


@dataclass(frozen=True, slots=True)
class Placement:
    """The part of one rank in an existing snapshot file. Offsets are in bytes."""

    path: str
    rank: int
    layout: StateLayout
    """Of the state of this rank."""
    rows: int
    data_start: int
    """This rank's part of row 0."""
    row_bytes: int
    """From one row to the next."""
    index_start: int
    """This rank's index entry of row 0."""
    index_row_bytes: int
    """From one row's index entries to the next row's."""
    reservable: bool
    """Whether the file system can promise space before it is written, on every rank."""

    def require(self, row: int) -> None:
        """Raise `ArgumentError` if there is no such row."""
        if not 0 <= row < self.rows:
            raise ArgumentError(f"there is no row {row} in {self.path}: it has {self.rows}")

    def offset(self, row: int) -> int:
        """Return where this rank's part of a row begins."""
        return self.data_start + row * self.row_bytes

    def index_offset(self, row: int) -> int:
        """Return where this rank's index entry of a row is."""
        return self.index_start + row * self.index_row_bytes
