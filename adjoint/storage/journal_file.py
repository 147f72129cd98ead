"""The journal of a snapshot file: one rank's part of it, written, read and checked.

There are two records, written in turn, so the previous one stays intact while the next is written.
Each rank's part of a record is a header, then the arrays. The header is

- 8 bytes: the ordinal of the record, starting at 1; 0 if there is none,
- 8 bytes: a checksum (XXH3) of the text and of the arrays,
- 8 bytes: the length of the text,
- text: JSON, what the arrays are (`RecordHeader`),

and is written after the arrays. A process killed while it writes leaves a header whose checksum
does not match, and the previous record. A record counts if all ranks have it intact; so before a
rank overwrites a record, all ranks must have finished the next one: see `adjoint.sweep.journal`.
"""

import errno
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.storage.checksums import RunningChecksum, checksum
from adjoint.storage.file_format import (
    ACCEPTED_BYTES,
    HEADER_BYTES,
    JOURNAL_RECORDS,
    JournalLayout,
    JournalPlacement,
    Placement,
    RowField,
    Structure,
)
from adjoint.storage.file_io import CHUNK_BYTES, as_bytes, closing, read_fully, write_fully

__all__ = [
    "BEGUN",
    "FORWARD",
    "REVERSE",
    "JournalFile",
    "JournalRecord",
    "RecordHeader",
    "read_journal",
]

HEADER = struct.Struct("<QQQ")

BEGUN, FORWARD, REVERSE = PHASES = ("begun", "forward", "reverse")


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What a record says of itself."""

    phase: str
    """ "begun": no arrays. "forward": the live state. "reverse": the adjoint and the gradients."""
    step: int
    """The step of the state or the adjoint."""
    num_steps: int | None
    """The number of steps of the run; None while it is not known."""
    cost: float
    """This rank's running total up to `step`; in the reverse sweep the total of the run."""
    controls: str
    """A hash of this rank's controls, in hexadecimal."""
    first_sequence: int
    """Ordinal of the first write of this evaluation: older entries of the index are stale."""
    seconds: float
    """Time that the run has taken so far, the runs that it resumes included."""
    accepted: int = 0
    """The number of accepted steps in ``/steps``."""
    rows_checksum: int = 0
    """Sum, modulo 2^64, of the checksums of all final rows in ``/gradients``."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """The schedule, so that a resumed run need not measure: leaf, slots, interval, costs."""


class JournalFile:
    """One rank's part of the journal, through a descriptor of its own.

    Its methods raise `OSError` if the file cannot be read or written.
    """

    def __init__(self, placement: Placement) -> None:
        assert placement.journal is not None
        self.placement: JournalPlacement = placement.journal
        self.layout: JournalLayout = self.placement.layout
        self._reservable = placement.reservable
        self._reserved: set[int] = set()
        self._name = placement.name if placement.rank == 0 else None
        self._descriptor = os.dup(placement.descriptor)
        self._close = closing(self, self._descriptor)

    def close(self) -> None:
        """Close the file."""
        self._close()

    def require_name(self) -> None:
        """Raise `OSError` if the file has been removed, or another one has its name.

        Only the first rank looks: other nodes may not see a new file yet.
        """
        if self._name is None:
            return
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._descriptor), os.lstat(self._name)):
                return
        raise FileNotFoundError(
            errno.ENOENT, f"{self._name} has been removed or replaced during the run"
        )

    def write(
        self, number: int, header: RecordHeader, arrays: list[tuple[int, NDArray[Any]]]
    ) -> None:
        """Write record `number`: each array at its offset in the payload, then the header."""
        start = self.placement.records[number % len(self.placement.records)]
        self._reserve(start, self.layout.record_bytes)
        text = json.dumps(asdict(header), separators=(",", ":")).encode()
        assert HEADER.size + len(text) <= HEADER_BYTES, "a header is short"
        running = RunningChecksum(text)
        for offset, array in arrays:
            data = as_bytes(array)
            running.update(data)
            write_fully(self._descriptor, data.data, start + HEADER_BYTES + offset)
        packed = HEADER.pack(number, running.value, len(text)) + text
        write_fully(self._descriptor, memoryview(packed), start)

    def read(self, record: int) -> tuple[int, RecordHeader] | None:
        """Return the ordinal and the header of a record; None if there is none."""
        return _read_header(_header_page(self._descriptor, self.placement.records[record]))

    def is_whole(self, record: int) -> bool:
        """Return whether the arrays of a record are those that were written."""
        return _is_whole(self._descriptor, self.placement.records[record], self.layout)

    def load(self, record: int, offset: int, array: NDArray[Any]) -> None:
        """Fill an array from its offset in the payload of a record."""
        self._fill(array, self.placement.records[record] + HEADER_BYTES + offset)

    # -- rows and accepted steps ----------------------------------------------------------------

    def write_rows(self, field: RowField, start: int, rows: NDArray[Any]) -> int:
        """Write final rows of a gradient, from row `start` on; return their `rows_checksum`."""
        first = self.placement.rows_start + field.offset + start * field.row_bytes
        data = np.ascontiguousarray(rows)
        self._reserve(first, data.nbytes)
        write_fully(self._descriptor, as_bytes(data).data, first)
        return rows_checksum(start, data)

    def read_rows(self, field: RowField, start: int, rows: NDArray[Any]) -> int:
        """Fill rows of a gradient, from row `start` on; return their `rows_checksum`."""
        self._fill(rows, self.placement.rows_start + field.offset + start * field.row_bytes)
        return rows_checksum(start, rows)

    def write_accepted(self, start: int, steps: NDArray[np.float64]) -> None:
        """Write accepted steps, shape (count, 2), from step `start` on."""
        if start + len(steps) > self.placement.accepted_steps:
            raise OSError(f"there is no room for more than {self.placement.accepted_steps} steps")
        first = self.placement.accepted_start + start * ACCEPTED_BYTES
        write_fully(self._descriptor, as_bytes(np.ascontiguousarray(steps)).data, first)

    def read_accepted(self, count: int) -> NDArray[np.float64]:
        """Return the first accepted steps, shape (count, 2)."""
        steps = np.empty((count, 2))
        self._fill(steps, self.placement.accepted_start)
        return steps

    # -- inside ---------------------------------------------------------------------------------

    def _reserve(self, start: int, count: int) -> None:
        if count and start not in self._reserved and self._reservable:
            os.posix_fallocate(self._descriptor, start, count)
            self._reserved.add(start)

    def _fill(self, array: NDArray[Any], offset: int) -> None:
        read_fully(self._descriptor, as_bytes(array).data, offset)


def rows_checksum(start: int, rows: NDArray[Any]) -> int:
    """Return the sum of the checksums of rows, modulo 2^64, each seeded with its row number."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    total = sum(checksum(flat[k], seed=start + k) for k in range(len(flat)))
    return total % (1 << 64)


# -- the journal of all ranks, for somebody who only looks ----------------------------------------


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A record whose header all ranks have written."""

    number: int
    """Its ordinal in the run, starting at 1."""
    header: RecordHeader
    """That of rank 0, with the cost of all ranks."""
    is_whole: bool | None
    """Whether its arrays are those that were written; None if they were not read."""


def read_journal(
    descriptor: int, structure: Structure, starts: Mapping[str, int], *, verify: bool
) -> list[JournalRecord]:
    """Return the records from which a run could be resumed, the latest first.

    Arrays are read only to `verify` them. Not collective. A record that a run overwrites meanwhile
    is left out, or found not to be whole, as after a kill.
    """
    records: list[JournalRecord] = []
    for k in range(JOURNAL_RECORDS if structure.journals else 0):
        parts = list(_parts(structure, starts["journal"] + k * structure.record_bytes))
        record = _read_record(descriptor, parts)
        if record is not None and verify:
            whole = all(_is_whole(descriptor, start, layout) for start, layout in parts)
            record = replace(record, is_whole=whole)
        if record is not None:
            records.append(record)
    return sorted(records, key=lambda record: -record.number)


def _parts(structure: Structure, start: int) -> Iterator[tuple[int, JournalLayout]]:
    """Yield where each rank's part of a record begins, and its layout."""
    for layout in structure.journals:
        yield start, layout
        start += layout.record_bytes


def _read_record(descriptor: int, parts: list[tuple[int, JournalLayout]]) -> JournalRecord | None:
    """Return a record, if the headers of all ranks have the same ordinal."""
    headers: list[tuple[int, RecordHeader]] = []
    for start, _ in parts:
        header = _read_header(_header_page(descriptor, start))
        if header is None or (headers and header[0] != headers[0][0]):
            return None
        headers.append(header)
    number, first = headers[0]
    return JournalRecord(number, replace(first, cost=sum(h.cost for _, h in headers)), None)


# -- one part of a record -------------------------------------------------------------------------


def _header_page(descriptor: int, start: int) -> bytes:
    return os.pread(descriptor, HEADER_BYTES, start)


def _read_header(page: bytes) -> tuple[int, RecordHeader] | None:
    """Return the ordinal and the header of a record; None if they are not what a run writes."""
    if len(page) < HEADER_BYTES:
        return None
    number, _, length = HEADER.unpack_from(page)
    if number == 0 or length > HEADER_BYTES - HEADER.size:
        return None
    try:
        header = RecordHeader(**json.loads(page[HEADER.size : HEADER.size + length]))
    except (ValueError, TypeError, RecursionError):
        return None
    return (number, header) if _is_sane(header) else None


def _is_sane(header: RecordHeader) -> bool:
    counts = (header.step, header.num_steps or 0, header.first_sequence, header.accepted)
    return (
        header.phase in PHASES
        and all(type(count) is int and 0 <= count < 1 << 63 for count in counts)
        and type(header.rows_checksum) is int
        and all(type(value) in {int, float} for value in (header.cost, header.seconds))
        and type(header.controls) is str
        and type(header.plan) is dict
    )


def _is_whole(descriptor: int, start: int, layout: JournalLayout) -> bool:
    """Return whether the arrays of the part at `start` match the checksum in its header."""
    page = _header_page(descriptor, start)
    found = _read_header(page)
    if found is None:
        return False
    _, expected, length = HEADER.unpack_from(page)
    running = RunningChecksum(page[HEADER.size : HEADER.size + length])
    for offset, size in _extents(layout, found[1].phase):
        for done in range(0, size, CHUNK_BYTES):
            piece = np.empty(min(CHUNK_BYTES, size - done), np.uint8)
            try:
                read_fully(descriptor, piece.data, start + HEADER_BYTES + offset + done)
            except OSError:
                return False
            running.update(piece)
    return running.value == expected


def _extents(layout: JournalLayout, phase: str) -> list[tuple[int, int]]:
    """Return offset and size of each array in the payload, in the order written."""
    state = [(field.offset, field.nbytes) for field in layout.state.fields]
    adjoint = [(field.offset, field.nbytes) for field in layout.adjoint.fields]
    start = layout.gradients_start
    gradients = [(start + field.offset, field.nbytes) for field in layout.gradients.fields]
    return {FORWARD: state, REVERSE: adjoint + gradients}.get(phase, [])
