"""The journal of a snapshot file, as one rank writes and reads its part of it.

There are two records, written in turn: the one before is whole while the next is written. Each
rank's part of a record is a header, then the arrays. The header is

- 8 bytes: the number of the record, from 1; 0 if there is none,
- 8 bytes: a checksum (XXH3) of the text and of the arrays,
- 8 bytes: how long the text is,
- text: JSON, what the arrays are (`RecordHeader`),

and it is written after them. A record counts if all ranks have it whole. Whoever writes the next
but one has to know that: see `adjoint.sweep.journal`.
"""

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.storage.checksums import RunningChecksum, checksum
from adjoint.storage.journal_layout import HEADER_BYTES, JournalLayout, RowField
from adjoint.storage.placement import ACCEPTED_BYTES, JournalPlacement, Placement
from adjoint.storage.state_layout import StateLayout

__all__ = ["JournalFile", "RecordHeader", "read_note"]

HEADER = struct.Struct("<QQQ")

READ_AT_ONCE = 1 << 22

BEGUN, FORWARD, REVERSE = PHASES = ("begun", "forward", "reverse")


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What a record says of itself."""

    phase: str
    """ "begun": no arrays. "forward": the live state. "reverse": the adjoint and the gradients."""
    step: int
    """The step that the state, or the adjoint, is at."""
    num_steps: int | None
    """Steps of the run; None as long as that is not known."""
    cost: float
    """This rank's running total up to `step`; in the reverse sweep the whole cost."""
    controls: str
    """A hash of this rank's controls, in hexadecimal."""
    first_sequence: int
    """The number of the first write of this evaluation: what is older in the index is stale."""
    seconds: float
    """What the run has taken so far, the runs that it resumes included."""
    accepted: int = 0
    """How many accepted steps ``/steps`` holds."""
    rows_checksum: int = 0
    """The sum, modulo 2^64, of the checksums of all final rows in ``/gradients``."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """The schedule, so that a resumed run need not measure: leaf, slots, interval, costs."""


class JournalFile:
    """One rank's part of the journal. Every call raises `OSError` if the file says no.

    Owns a descriptor of its own; `close` gives it back.
    """

    def __init__(self, placement: Placement) -> None:
        assert placement.journal is not None
        self.placement: JournalPlacement = placement.journal
        self.layout: JournalLayout = self.placement.layout
        self._reservable = placement.reservable
        self._reserved: set[int] = set()
        self._descriptor = os.open(placement.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def write(
        self, number: int, note: RecordHeader, arrays: list[tuple[int, NDArray[Any]]]
    ) -> None:
        """Write record `number`: the arrays, each at its place in the payload, then the header."""
        start = self.placement.records[number % len(self.placement.records)]
        self._reserve(start, self.layout.record_bytes)
        text = json.dumps(asdict(note), separators=(",", ":")).encode()
        assert HEADER.size + len(text) <= HEADER_BYTES, "a note is short"
        running = RunningChecksum(text)
        for offset, array in arrays:
            data = array.reshape(-1).view(np.uint8)
            running.update(data)
            self._put(data.data, start + HEADER_BYTES + offset)
        header = HEADER.pack(number, running.value, len(text)) + text
        self._put(memoryview(header), start)

    def read(self, record: int) -> tuple[int, RecordHeader] | None:
        """Return the number of a record and what it says, if its header can be read at all."""
        start = self.placement.records[record]
        return read_note(os.pread(self._descriptor, HEADER_BYTES, start))

    def is_whole(self, record: int) -> bool:
        """Return whether the arrays of a record are those that its header vouches for."""
        start = self.placement.records[record]
        header = os.pread(self._descriptor, HEADER_BYTES, start)
        found = read_note(header)
        if found is None:
            return False
        _, expected, length = HEADER.unpack_from(header)
        running = RunningChecksum(header[HEADER.size : HEADER.size + length])
        for offset, size in self._extents(found[1].phase):
            for done in range(0, size, READ_AT_ONCE):
                count = min(READ_AT_ONCE, size - done)
                where = start + HEADER_BYTES + offset + done
                running.update(np.frombuffer(os.pread(self._descriptor, count, where), np.uint8))
        return running.value == expected

    def load(self, record: int, offset: int, array: NDArray[Any]) -> None:
        """Fill an array from its place in the payload of a record."""
        self._fill(array, self.placement.records[record] + HEADER_BYTES + offset)

    # -- rows and accepted steps ----------------------------------------------------------------

    def write_rows(self, field: RowField, start: int, rows: NDArray[Any]) -> int:
        """Write final rows of a gradient, from row `start` on; return their checksums' sum."""
        first = self.placement.rows_start + field.offset + start * field.row_bytes
        data = np.ascontiguousarray(rows)
        self._reserve(first, data.nbytes)
        self._put(data.reshape(-1).view(np.uint8).data, first)
        return rows_checksum(start, data)

    def read_rows(self, field: RowField, start: int, rows: NDArray[Any]) -> int:
        """Fill rows of a gradient, from row `start` on; return the sum of their checksums."""
        self._fill(rows, self.placement.rows_start + field.offset + start * field.row_bytes)
        return rows_checksum(start, rows)

    def write_accepted(self, start: int, steps: NDArray[np.float64]) -> None:
        """Write accepted steps, shaped (count, 2), from step `start` on."""
        if start + len(steps) > self.placement.accepted_steps:
            raise OSError(f"there is no room for more than {self.placement.accepted_steps} steps")
        first = self.placement.accepted_start + start * ACCEPTED_BYTES
        self._put(np.ascontiguousarray(steps).reshape(-1).view(np.uint8).data, first)

    def read_accepted(self, count: int) -> NDArray[np.float64]:
        """Return the first accepted steps, shaped (count, 2)."""
        steps = np.empty((count, 2))
        self._fill(steps, self.placement.accepted_start)
        return steps

    # -- inside ---------------------------------------------------------------------------------

    def _extents(self, phase: str) -> list[tuple[int, int]]:
        """Return where arrays lie in the payload, and how long they are, in the order written."""
        if phase == FORWARD:
            return _places(0, self.layout.state)
        if phase == REVERSE:
            return [
                *_places(0, self.layout.adjoint),
                *_places(self.layout.gradients_start, self.layout.gradients),
            ]
        return []

    def _reserve(self, start: int, count: int) -> None:
        if count and start not in self._reserved and self._reservable:
            os.posix_fallocate(self._descriptor, start, count)
            self._reserved.add(start)

    def _put(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(self._descriptor, data[: 1 << 30], offset)
            data, offset = data[count:], offset + count

    def _fill(self, array: NDArray[Any], offset: int) -> None:
        data = array.reshape(-1).view(np.uint8).data
        while data:
            count = os.preadv(self._descriptor, [data[: 1 << 30]], offset)
            if count == 0:
                raise OSError("the journal is cut short")
            data, offset = data[count:], offset + count


def read_note(header: bytes) -> tuple[int, RecordHeader] | None:
    """Return the number of a record and what it says, from its header.

    None if it is not one, or says what no run would write.
    """
    if len(header) < HEADER_BYTES:
        return None
    number, _, length = HEADER.unpack_from(header)
    if number == 0 or length > HEADER_BYTES - HEADER.size:
        return None
    try:
        note = RecordHeader(**json.loads(header[HEADER.size : HEADER.size + length]))
    except (ValueError, TypeError, RecursionError):
        return None
    return (number, note) if _is_sane(note) else None


def _is_sane(note: RecordHeader) -> bool:
    counts = (note.step, note.num_steps or 0, note.first_sequence, note.accepted)
    return (
        note.phase in PHASES
        and all(type(count) is int and 0 <= count < 1 << 63 for count in counts)
        and type(note.rows_checksum) is int
        and all(type(value) in {int, float} for value in (note.cost, note.seconds))
        and type(note.controls) is str
        and type(note.plan) is dict
    )


def rows_checksum(start: int, rows: NDArray[Any]) -> int:
    """Return the sum of the checksums of rows, modulo 2^64, each with its number in it."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    total = sum(checksum(flat[k], seed=start + k) for k in range(len(flat)))
    return total % (1 << 64)


def _places(start: int, layout: StateLayout) -> list[tuple[int, int]]:
    return [(start + field.offset, field.nbytes) for field in layout.fields]
