"""Where one rank's part of every row lies in a snapshot file: plain byte offsets.

The HDF5 library makes the file; what moves bytes afterwards needs no more than this.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from adjoint.errors import ArgumentError
from adjoint.storage.journal_layout import JournalLayout
from adjoint.storage.state_layout import StateLayout

__all__ = ["ACCEPTED_BYTES", "ENTRY_BYTES", "Entry", "JournalPlacement", "Placement"]

ENTRY_FORMAT = struct.Struct("<qQQd")
ENTRY_BYTES = ENTRY_FORMAT.size

ACCEPTED_BYTES = 16
"""An accepted step in the file: the time it began at and its length."""


class Entry(NamedTuple):
    """What the index says of one rank's part of a row. All zero: there is no state in it."""

    step: int
    sequence: int
    """The how-manieth write of its run it is, from 1: ranks whose numbers differ disagree."""
    checksum: int
    cost: float
    """This rank's running total of the cost up to the state; nan where it is not known."""

    def packed(self) -> bytes:
        """Return the entry as it is in the file."""
        return ENTRY_FORMAT.pack(*self)

    @classmethod
    def unpacked(cls, data: bytes) -> "Entry":
        """Return the entry that the file has in those bytes."""
        return cls(*ENTRY_FORMAT.unpack(data))


@dataclass(frozen=True, slots=True)
class JournalPlacement:
    """The part of one rank in the journal of a snapshot file. Offsets are in bytes."""

    layout: JournalLayout
    records: tuple[int, ...]
    """Where this rank's part of each record begins."""
    rows_start: int
    """Where this rank's gradients with a row per step begin."""
    accepted_start: int
    """Where the accepted steps begin: those of rank 0, which all ranks share."""
    accepted_steps: int
    """How many of them there is room for."""


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
    journal: JournalPlacement | None = None
    """Where a resumed run finds what it goes on from; None if the file is a temporary one."""

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
