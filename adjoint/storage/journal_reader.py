"""What the journal of a snapshot file says, for somebody who only looks.

The records of a run that is still going may change while they are read; then they do not add up,
and the one before is what counts, as it would after a kill.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from adjoint.storage.checksums import RunningChecksum
from adjoint.storage.description import Description
from adjoint.storage.journal_file import FORWARD, HEADER, REVERSE, RecordHeader, read_note
from adjoint.storage.journal_layout import HEADER_BYTES, JournalLayout
from adjoint.storage.validate import Found

__all__ = ["JournalRecord", "read_journal"]

READ_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A record that all ranks have begun to write and none has to begin again."""

    number: int
    """The how-manieth of its run, from 1."""
    note: RecordHeader
    """What it says of itself; the cost is that of all ranks."""
    is_whole: bool | None
    """Whether its arrays are those that were written; None if they were not looked at."""


def read_journal(
    descriptor: int, found: Found, description: Description, *, verify: bool
) -> list[JournalRecord]:
    """Return the records that a run could be resumed from, the latest first.

    Their arrays are read only to be verified. Not collective; reads and allocates a page a rank,
    and 4 MiB.
    """
    if not description.journals:
        return []
    extent = found.extents["journal"]
    count, record_bytes = extent.shape
    records: list[JournalRecord] = []
    for k in range(min(count, 2)):
        start = extent.start + k * record_bytes
        record = _record(descriptor, start, description.journals)
        if record is not None and verify:
            record = _verified(descriptor, start, description.journals, record)
        if record is not None:
            records.append(record)
    return sorted(records, key=lambda record: -record.number)


def _record(
    descriptor: int, start: int, journals: tuple[JournalLayout, ...]
) -> JournalRecord | None:
    """Return a record, if the headers of all ranks agree on it."""
    number, first, cost = 0, None, 0.0
    for journal in journals:
        read = read_note(os.pread(descriptor, HEADER_BYTES, start))
        if read is None or (first is not None and read[0] != number):
            return None
        number, note = read
        first = first or note
        cost += note.cost
        start += journal.record_bytes
    if first is None:
        return None
    return JournalRecord(number, replace(first, cost=cost), None)


def _verified(
    descriptor: int, start: int, journals: tuple[JournalLayout, ...], record: JournalRecord
) -> JournalRecord:
    whole = True
    for journal in journals:
        whole = whole and _is_whole(descriptor, start, journal)
        start += journal.record_bytes
    return replace(record, is_whole=whole)


def _is_whole(descriptor: int, start: int, journal: JournalLayout) -> bool:
    """Return whether the arrays of one rank are those that its header vouches for."""
    header = os.pread(descriptor, HEADER_BYTES, start)
    read = read_note(header)
    if read is None:
        return False
    _, expected, length = HEADER.unpack_from(header)
    running = RunningChecksum(header[HEADER.size : HEADER.size + length])
    for offset, size in _extents(journal, read[1].phase):
        for done in range(0, size, READ_AT_ONCE):
            count = min(READ_AT_ONCE, size - done)
            data = os.pread(descriptor, count, start + HEADER_BYTES + offset + done)
            if len(data) < count:
                return False
            running.update(np.frombuffer(data, np.uint8))
    return running.value == expected


def _extents(journal: JournalLayout, phase: str) -> Iterator[tuple[int, int]]:
    """Give where arrays lie in the payload, and how long they are, in the order written."""
    if phase == FORWARD:
        yield from ((field.offset, field.nbytes) for field in journal.state.fields)
    elif phase == REVERSE:
        yield from ((field.offset, field.nbytes) for field in journal.adjoint.fields)
        begins = journal.gradients_start
        yield from ((begins + field.offset, field.nbytes) for field in journal.gradients.fields)
