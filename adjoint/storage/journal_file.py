"""The journal of a snapshot file: one rank's part of it, written, read and checked.

There are two records, written in turn, so the previous one stays intact while the next is written.
Each rank's part of a record is a header, then the arrays. The header is

- 8 bytes: a checksum (XXH3) of the rest of the header,
- 8 bytes: the ordinal of the record, starting at 1; 0 if there is none,
- 8 bytes: a checksum of the arrays,
- 8 bytes: the length of the text,
- text: JSON, what the arrays are (`RecordHeader`),

and is written after the arrays. A process killed while it writes leaves arrays whose checksum does
not match, and the previous record. A record counts if all ranks have it intact; so before a rank
overwrites a record, all ranks must have finished the next one: see `adjoint.sweep.journal`. What
cannot be read counts as damaged.
"""

import errno
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.storage.checksums import RunningChecksum, checksum
from adjoint.storage.file_format import (
    ACCEPTED_DTYPE,
    HEADER_BYTES,
    JOURNAL_RECORDS,
    JournalLayout,
    JournalPlacement,
    Placement,
    RowField,
)
from adjoint.storage.file_io import CHUNK_BYTES, as_bytes, duplicated, read_fully, write_fully

__all__ = [
    "BEGUN",
    "FORWARD",
    "REVERSE",
    "JournalFile",
    "JournalRecord",
    "RecordHeader",
    "read_journal",
    "rows_at_once",
]

HEADER = struct.Struct("<QQQQ")
OWN = struct.Struct("<Q")

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
    evaluation: int
    """The evaluation, by a number drawn for it. Its entries in the index have the same."""
    data: Mapping[str, str]
    """Hashes of this rank's controls and of what the stepper holds, by name."""
    seconds: float
    """Time that the run has taken so far, the runs that it resumes included."""
    accepted: int = 0
    """The number of accepted steps in ``/steps``."""
    rows_checksum: int = 0
    """Sum, modulo 2^64, of the checksums of all final rows in ``/gradients``."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """The schedule, so that a resumed run need not measure: leaf, slots, interval, costs."""

    @property
    def shared(self) -> tuple[Any, ...]:
        """What all ranks' parts of one record have in common, and no other record has."""
        return self.phase, self.step, self.num_steps, self.evaluation, self.seconds, self.accepted


class JournalFile:
    """One rank's part of the journal, through a descriptor of its own.

    Methods that write raise `OSError` if the file cannot be written.
    """

    def __init__(self, placement: Placement) -> None:
        assert placement.journal is not None
        self.placement: JournalPlacement = placement.journal
        self.layout: JournalLayout = self.placement.layout
        self._reservable = placement.reservable
        self._reserved: set[int] = set()
        self._name = placement.name if placement.rank == 0 else None
        self._descriptor, self._close = duplicated(self, placement.descriptor)

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
        running = RunningChecksum()
        for offset, array in arrays:
            data = as_bytes(array)
            running.update(data)
            write_fully(self._descriptor, data.data, start + HEADER_BYTES + offset)
        packed = HEADER.pack(0, number, running.value, len(text))[OWN.size :] + text
        write_fully(self._descriptor, memoryview(OWN.pack(checksum(packed)) + packed), start)

    def read(self, record: int) -> tuple[int, RecordHeader] | None:
        """Return ordinal and header of a record; None if it is not as it was written."""
        found = _read_header(self._descriptor, self.placement.records[record])
        return None if found is None else found[:2]

    def load(
        self, record: int, header: RecordHeader, arrays: Sequence[tuple[int, NDArray[Any]]]
    ) -> bool:
        """Fill arrays, in the order written, each from its offset in the payload of a record.

        Returns whether they are those that were written.
        """
        start = self.placement.records[record]
        found, running = _read_header(self._descriptor, start), RunningChecksum()
        for offset, array in arrays:
            if not _fill(self._descriptor, array, start + HEADER_BYTES + offset):
                return False
            running.update(as_bytes(array))
        return found is not None and found[1:] == (header, running.value)

    # -- rows and accepted steps ----------------------------------------------------------------

    def write_rows(self, field: RowField, start: int, rows: NDArray[Any]) -> int:
        """Write final rows of a gradient, from row `start` on; return their `rows_checksum`."""
        first = self.placement.rows_start + field.offset + start * field.row_bytes
        data = np.ascontiguousarray(rows)
        self._reserve(first, data.nbytes)
        write_fully(self._descriptor, as_bytes(data).data, first)
        return _rows_checksum(start, data)

    def read_rows(self, field: RowField, start: int, rows: NDArray[Any]) -> int | None:
        """Fill rows of a gradient, from row `start` on; return their `rows_checksum`.

        None if they cannot be read.
        """
        first = self.placement.rows_start + field.offset + start * field.row_bytes
        return _rows_checksum(start, rows) if _fill(self._descriptor, rows, first) else None

    def write_accepted(self, evaluation: int, start: int, steps: NDArray[np.float64]) -> None:
        """Write accepted steps, shape (count, 2), from step `start` on."""
        if start + len(steps) > self.placement.accepted_steps:
            raise OSError(f"there is no room for more than {self.placement.accepted_steps} steps")
        rows = np.empty(len(steps), ACCEPTED_DTYPE)
        rows["time"], rows["length"] = np.asarray(steps).reshape(-1, 2).T
        rows["checksum"] = _accepted_checksums(evaluation, start, rows)
        first = self.placement.accepted_start + start * ACCEPTED_DTYPE.itemsize
        write_fully(self._descriptor, as_bytes(rows).data, first)

    def read_accepted(self, evaluation: int, count: int) -> NDArray[np.float64]:
        """Return accepted steps of an evaluation, shape (steps, 2): the first `count`.

        Fewer if one of them cannot be read, or is not as it was written: those before it.
        """
        return _read_accepted(self._descriptor, self.placement, evaluation, count)

    # -- inside ---------------------------------------------------------------------------------

    def _reserve(self, start: int, count: int) -> None:
        if count and start not in self._reserved and self._reservable:
            os.posix_fallocate(self._descriptor, start, count)
            self._reserved.add(start)


# -- the journal of all ranks, for somebody who only looks ----------------------------------------


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A record whose header all ranks have written."""

    number: int
    """Its ordinal in the file, starting at 1."""
    header: RecordHeader
    """That of rank 0, with the cost of all ranks."""
    is_whole: bool | None
    """Whether arrays, rows and accepted steps are as they were written; None if not read."""


def read_journal(
    descriptor: int, parts: Sequence[JournalPlacement], *, verify: bool
) -> tuple[list[JournalRecord], int]:
    """Return the records from which a run could be resumed, the latest first.

    And the number of headers, of all ranks, that are not as they were written. Arrays are read only
    to `verify` them. Not collective. A record that a run overwrites meanwhile is left out, or found
    not to be whole, as after a kill.
    """
    records: list[JournalRecord] = []
    damaged = 0
    for k in range(JOURNAL_RECORDS if parts else 0):
        headers = [_read_header(descriptor, part.records[k]) for part in parts]
        damaged += sum(
            header is None and not _is_empty(descriptor, part.records[k])
            for header, part in zip(headers, parts, strict=True)
        )
        found = [(number, header) for number, header, _ in filter(None, headers)]
        shared = {(number, header.shared) for number, header in found}
        if len(found) < len(parts) or len(shared) > 1:
            continue
        number, first = found[0]
        total = replace(first, cost=sum(header.cost for _, header in found))
        whole = all(_is_whole(descriptor, part, k) for part in parts) if verify else None
        records.append(JournalRecord(number, total, whole))
    return sorted(records, key=lambda record: -record.number), damaged


def _is_whole(descriptor: int, part: JournalPlacement, record: int) -> bool:
    """Return whether all that one rank's part of a record vouches for is as it was written."""
    start = part.records[record]
    found = _read_header(descriptor, start)
    if found is None:
        return False
    _, header, expected = found
    arrays, total = RunningChecksum(), 0
    for offset, size in _extents(part.layout, header.phase):
        for piece in _pieces(descriptor, start + HEADER_BYTES + offset, size, CHUNK_BYTES):
            if piece is None:
                return False
            arrays.update(piece)
    for rows in part.layout.rows if header.phase == REVERSE else ():
        row, at_once = header.step, rows_at_once(rows)
        first, size = rows.offset + row * rows.row_bytes, (rows.rows - row) * rows.row_bytes
        for piece in _pieces(descriptor, part.rows_start + first, size, at_once * rows.row_bytes):
            if piece is None:
                return False
            total += _rows_checksum(row, piece.reshape(-1, rows.row_bytes))
            row += at_once
    accepted = _read_accepted(descriptor, part, header.evaluation, header.accepted)
    sums = arrays.value, total % (1 << 64), len(accepted)
    return sums == (expected, header.rows_checksum, header.accepted)


def _extents(layout: JournalLayout, phase: str) -> list[tuple[int, int]]:
    """Return offset and size of each array in the payload, in the order written."""
    state = [(field.offset, field.nbytes) for field in layout.state.fields]
    adjoint = [(field.offset, field.nbytes) for field in layout.adjoint.fields]
    start = layout.gradients_start
    gradients = [(start + field.offset, field.nbytes) for field in layout.gradients.fields]
    return {FORWARD: state, REVERSE: adjoint + gradients}.get(phase, [])


def _pieces(
    descriptor: int, start: int, size: int, at_once: int
) -> Iterator[NDArray[np.uint8] | None]:
    """Yield the bytes of an extent in pieces; None for one that cannot be read."""
    for done in range(0, size, max(1, at_once)):
        piece = np.empty(min(at_once, size - done), np.uint8)
        yield piece if _fill(descriptor, piece, start + done) else None


# -- one part of a record -------------------------------------------------------------------------


def _fill(descriptor: int, array: NDArray[Any], offset: int) -> bool:
    """Fill an array from the file; return whether it could be read."""
    try:
        read_fully(descriptor, as_bytes(array).data, offset)
    except OSError:
        return False
    return True


def _is_empty(descriptor: int, start: int) -> bool:
    """Return whether there is no header: none was ever written, or it was cleared."""
    page = np.empty(HEADER.size, np.uint8)
    return _fill(descriptor, page, start) and not page.any()


def _read_header(descriptor: int, start: int) -> tuple[int, RecordHeader, int] | None:
    """Return a record's ordinal, its header and the checksum of its arrays.

    None if they cannot be read, or are not what a run has written.
    """
    page = np.empty(HEADER_BYTES, np.uint8)
    if not _fill(descriptor, page, start):
        return None
    own, number, arrays, length = HEADER.unpack_from(page)
    text = page[HEADER.size : HEADER.size + length].tobytes()
    if number == 0 or own != checksum(page[OWN.size : HEADER.size].tobytes() + text):
        return None
    try:
        header = RecordHeader(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    return (number, header, arrays) if _is_sane(header) else None


def _is_sane(header: RecordHeader) -> bool:
    counts = (header.step, header.num_steps or 0, header.accepted)
    return (
        header.phase in PHASES
        and all(type(count) is int and 0 <= count < 1 << 63 for count in counts)
        and all(type(value) is int for value in (header.evaluation, header.rows_checksum))
        and all(type(value) in {int, float} for value in (header.cost, header.seconds))
        and all(type(value) is dict for value in (header.data, header.plan))
    )


def _read_accepted(
    descriptor: int, part: JournalPlacement, evaluation: int, count: int
) -> NDArray[np.float64]:
    rows = np.empty(min(count, part.accepted_steps), ACCEPTED_DTYPE)
    if not _fill(descriptor, rows, part.accepted_start):
        return np.empty((0, 2))
    wrong = np.flatnonzero(rows["checksum"] != _accepted_checksums(evaluation, 0, rows))
    sound = rows[: wrong[0] if len(wrong) else None]
    return np.stack([sound["time"], sound["length"]], axis=1)


def _accepted_checksums(evaluation: int, start: int, rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the checksum of each accepted step, seeded with its number and the evaluation."""
    sums = [
        checksum(struct.pack("<dd", time, length), seed=(evaluation + start + k) % (1 << 64))
        for k, (time, length) in enumerate(zip(rows["time"], rows["length"], strict=True))
    ]
    return np.array(sums, np.uint64)


def rows_at_once(field: RowField) -> int:
    """Return how many rows of a gradient are read or written at once."""
    return max(1, CHUNK_BYTES // max(1, field.row_bytes))


def _rows_checksum(start: int, rows: NDArray[Any]) -> int:
    """Return the sum of the checksums of rows, modulo 2^64, each seeded with its row number."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    total = sum(checksum(flat[k], seed=start + k) for k in range(len(flat)))
    return total % (1 << 64)
