"""Reading the states in a snapshot file, without MPI, locks or writes.

The file may belong to a run that is still going, was killed, or has ended. What such a run does
meanwhile is noticed: a state is returned only if its index entry, whose checksum is right, was the
same before and after it was read, and its bytes match the checksum in the entry. What the file
claims to be is checked first, see `adjoint.storage.validate`.

Besides the arrays that are returned, at most some megabytes are allocated.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.closing import Closing
from adjoint.errors import ArgumentError, SnapshotFileError, TransferError
from adjoint.storage.checksums import RunningChecksum
from adjoint.storage.file_format import Structure
from adjoint.storage.file_io import CHUNK_BYTES, read_fully
from adjoint.storage.index import (
    ENTRY_BYTES,
    INDEX_DTYPE,
    MAX_EMPTY_ROWS,
    Entry,
    read_entries,
    sound_entries,
)
from adjoint.storage.journal_file import JournalRecord, read_journal
from adjoint.storage.row_keys import described
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.validate import examine, open_regular

__all__ = ["Contents", "Snapshots", "open_snapshots"]

INDEX_CHUNK_BYTES = 1 << 20
"""Size of the pieces in which the index is read."""

Progress = Callable[[int], object]
"""Called with the number of bytes just read."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The states in a file, according to its index when it was read."""

    rows: dict[int, int]
    """Row by step, in ascending order of steps. Of several rows, the one written last."""
    pieces: dict[int, int]
    """Row by key of each piece of a tape (`adjoint.storage.row_keys`)."""
    used: int
    """The number of rows that hold anything."""
    stale: int
    """Of these, the rows of an earlier evaluation, or of a step that has a newer row."""
    disagreeing: int
    """Of these, the rows whose ranks disagree: they were being written when the run ended."""
    damaged_entries: int
    """Entries of the index, of all ranks, that are not as they were written."""
    damaged_headers: int
    """Headers of journal records, of all ranks, that are not as they were written."""


class Snapshots(Mapping[int, dict[str, NDArray[Any]]], Closing):
    """The states in a snapshot file, by step. Made by `open_snapshots`; a context manager.

    The file may change meanwhile: `steps`, `len` and iteration read its index each time. Arrays are
    fresh copies, the caller's to keep.
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool) -> None:
        self.path = os.path.abspath(path)
        self._verify = verify
        self._descriptor = open_regular(path)
        try:
            self._structure, self._starts = examine(self._descriptor, self.path)
            self._block_starts = self._structure.block_starts()
            self._rows = self.contents().rows
        except BaseException:
            self.close()
            raise

    @property
    def structure(self) -> Structure:
        """The datasets of the file, and the layouts of all ranks' states."""
        return self._structure

    @property
    def sizes(self) -> tuple[int, int]:
        """The present length of the file, and the bytes it takes on disk."""
        self._require_open()
        status = os.fstat(self._descriptor)
        return status.st_size, 512 * status.st_blocks

    @property
    def num_ranks(self) -> int:
        """The number of ranks that wrote the file."""
        return self._structure.ranks

    @property
    def steps(self) -> list[int]:
        """The steps whose states are in the file, in ascending order."""
        self._rows = self.contents().rows
        return list(self._rows)

    def layout(self, rank: int = 0) -> StateLayout:
        """Return the names, shapes and dtypes of the arrays in one rank's part of a state.

        Raises
        ------
        ArgumentError
            There is no such rank.
        """
        if not 0 <= rank < self.num_ranks:
            raise ArgumentError(
                f"there is no rank {rank} in {self.path}: it was made on {self.num_ranks}"
            )
        return self._structure.layouts[rank]

    def read(self, step: int, field: str, *, rank: int = 0) -> NDArray[Any]:
        """Return one array of one rank's part of the state at `step`: a fresh copy.

        The rank's whole part is read and compared with its checksum, unless the file was opened
        with ``verify=False``.

        Raises
        ------
        KeyError
            The state is not in the file, or no longer.
        ArgumentError
            There is no such array, or no such rank.
        TransferError
            It cannot be read, or its bytes are not those that were written.
        """
        names = [known.name for known in self.layout(rank).fields]
        if field not in names:
            raise ArgumentError(
                f"there is no array {field!r} on rank {rank} in {self.path}: there is "
                + (", ".join(map(repr, names)) or "nothing")
            )
        return self._load(step, rank, {field})[field]

    def parts(self, step: int, field: str) -> list[NDArray[Any]]:
        """Return that array of every rank, in rank order. Raises like `read`."""
        return [self.read(step, field, rank=rank) for rank in range(self.num_ranks)]

    def __getitem__(self, step: int) -> dict[str, NDArray[Any]]:
        """Return the whole state at `step` of a file made on one rank. Raises like `read`."""
        if self.num_ranks > 1:
            raise ArgumentError(
                f"{self.path} was made on {self.num_ranks} ranks: read(step, field, rank=...) "
                "returns the part of one, parts(step, field) those of all"
            )
        return self._load(step, 0, {field.name for field in self.layout().fields})

    def __contains__(self, step: object) -> bool:
        return step in self.steps

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # -- for those who inspect a file -----------------------------------------------------------

    def journal(self, *, verify: bool = False) -> list[JournalRecord]:
        """Return the records from which a run could be resumed, the latest first."""
        return self._journal(verify=verify)[0]

    def contents(self) -> Contents:
        """Return which states are in the file now."""
        self._require_open()
        records, headers = self._journal(verify=False)
        used = disagreeing = damaged = 0
        columns: list[NDArray[np.uint64]] = [np.empty((4, 0), np.uint64)]
        for row, entries, sound, spoilt in self._index():
            damaged += int(np.count_nonzero(spoilt))
            taken = (sound | spoilt).any(axis=1)
            used += int(np.count_nonzero(taken))
            agreed = sound.all(axis=1)
            for name in ("step", "sequence", "evaluation"):
                agreed &= (entries[name] == entries[name][:, :1]).all(axis=1)
            disagreeing += int(np.count_nonzero(taken & ~agreed))
            first = entries[agreed, 0]
            rows = (row + np.flatnonzero(agreed)).astype(np.uint64)
            steps = first["step"].astype(np.uint64)
            columns.append(np.stack([steps, first["sequence"], first["evaluation"], rows]))
        steps, numbers, evaluations, rows = np.concatenate(columns, axis=1)
        steps = steps.view(np.int64)
        if len(rows):
            # Without a record, the latest evaluation is that of the last write.
            last = records[0].header.evaluation if records else evaluations[np.argmax(numbers)]
            steps, numbers, rows = (v[evaluations == last] for v in (steps, numbers, rows))
        order = np.lexsort((numbers, steps))
        found = dict(zip(steps[order].tolist(), rows[order].tolist(), strict=True))
        stale = used - disagreeing - len(found)
        states = {step: row for step, row in found.items() if step >= 0}
        pieces = {key: row for key, row in found.items() if key < 0}
        return Contents(states, pieces, used, stale, disagreeing, damaged, headers)

    def check(self, step: int, row: int, rank: int, progress: Progress) -> str | None:
        """Return what is wrong with one rank's part of a row that should hold the state at `step`.

        Or a piece of a tape, given its key. None if nothing is wrong, or if the row is being
        overwritten.
        """
        try:
            self._load_row(step, row, rank, set(), progress)
        except (TransferError, _ChangedError) as error:
            return str(error) if isinstance(error, TransferError) else None
        return None

    # -- inside ---------------------------------------------------------------------------------

    def _journal(self, *, verify: bool) -> tuple[list[JournalRecord], int]:
        """Return the records, and the number of headers that are damaged."""
        self._require_open()
        parts = self._structure.journal_placements(self._starts)
        return read_journal(self._descriptor, parts, verify=verify)

    def _index(
        self,
    ) -> Iterator[tuple[int, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]]:
        """Yield pieces of the index until only empty rows follow.

        Each with its first row, and whether each entry is as it was written, or damaged.
        """
        rows, ranks = self._structure.rows, self._structure.ranks
        at_once = min(MAX_EMPTY_ROWS, max(1, INDEX_CHUNK_BYTES // (ranks * ENTRY_BYTES)))
        row = used = 0
        while row < min(rows, used + MAX_EMPTY_ROWS + 1):
            count = min(at_once, rows - row)
            data = self._read_index(row * ranks, count * ranks)
            shape = count, ranks
            sound, spoilt = (flags.reshape(shape) for flags in sound_entries(data))
            yield row, np.frombuffer(data, INDEX_DTYPE).reshape(shape), sound, spoilt
            taken = np.flatnonzero((sound | spoilt).any(axis=1))
            used = row + int(taken[-1]) + 1 if len(taken) else used
            row += count

    def _load(self, step: int, rank: int, names: set[str]) -> dict[str, NDArray[Any]]:
        self._require_open()
        # First by the index as it was last read, then, if the row has changed, by the present one.
        for reread in (False, True):
            if reread:
                self._rows = self.contents().rows
            if step in self._rows:
                with suppress(_ChangedError):
                    return self._load_row(step, self._rows[step], rank, names, _nothing)
        raise KeyError(f"{self.path} has no state {step}")

    def _load_row(
        self, step: int, row: int, rank: int, names: set[str], progress: Progress
    ) -> dict[str, NDArray[Any]]:
        packed = self._entry(row, rank)
        entry = Entry.unpacked(packed)
        if entry is None or entry.step != step:
            raise _ChangedError
        problem, arrays = None, {}
        try:
            layouts = self._structure.layouts if step >= 0 else self._structure.pieces
            arrays, checksum = self._read_row(row, rank, layouts[rank], names, progress)
            if checksum is not None and checksum != entry.checksum:
                problem = (
                    f"its checksum is {checksum:#018x}, {entry.checksum:#018x} was written: "
                    "another program changed the file, or the disk is failing"
                )
        except (OSError, MemoryError) as failure:
            problem = str(failure) or "it does not fit into memory"
        if self._entry(row, rank) != packed:  # as bytes: a NaN, a cost not known, differs
            raise _ChangedError
        if problem is not None:
            raise TransferError(
                f"could not read {described(step)}, row {row} of {self.path}, of rank {rank}: "
                f"{problem}"
            )
        return arrays

    def _read_row(
        self, row: int, rank: int, layout: StateLayout, names: set[str], progress: Progress
    ) -> tuple[dict[str, NDArray[Any]], int | None]:
        """Return the arrays of these names, and the checksum of the whole part.

        Without names, only the checksum is computed, in little memory.
        """
        start = self._starts["snapshots"] + row * self._structure.row_bytes
        start += self._block_starts[rank]
        verify = self._verify or not names
        running = RunningChecksum()
        scratch = np.empty(CHUNK_BYTES if verify else 0, np.uint8)
        arrays: dict[str, NDArray[Any]] = {}
        end = 0

        def take(where: NDArray[np.uint8], offset: int) -> None:
            read_fully(self._descriptor, where.data, start + offset)
            progress(where.size)
            if verify:
                running.update(where)

        def skip(until: int) -> None:
            for offset in range(end, until if verify else end, CHUNK_BYTES):
                take(scratch[: min(CHUNK_BYTES, until - offset)], offset)

        for field in layout.fields:
            if field.name not in names:
                continue
            skip(field.offset)
            data = np.empty(field.nbytes, np.uint8)
            for done in range(0, field.nbytes, CHUNK_BYTES):
                take(data[done : done + CHUNK_BYTES], field.offset + done)
            arrays[field.name] = np.ndarray(field.shape, field.dtype, data.data)
            end = field.offset + field.nbytes
        skip(layout.nbytes)
        return arrays, running.value if verify else None

    def _entry(self, row: int, rank: int) -> bytes:
        return self._read_index(row * self._structure.ranks + rank, 1)

    def _read_index(self, number: int, count: int) -> bytes:
        """Return entries; those that cannot be read, as damaged ones."""
        start, size = self._starts["index"] + number * ENTRY_BYTES, count * ENTRY_BYTES
        if os.fstat(self._descriptor).st_size < start + size:
            raise SnapshotFileError(f"{self.path} was cut short since it was opened")
        return read_entries(self._descriptor, start, size, self._structure.ranks * ENTRY_BYTES)

    def _require_open(self) -> None:
        if self._descriptor < 0:
            raise ArgumentError(f"{self.path} has been closed: read within the with block")


class _ChangedError(Exception):
    """A row no longer holds the state that it held when the index was read."""


def open_snapshots(path: str | os.PathLike[str], *, verify: bool = True) -> Snapshots:
    """Open a snapshot file to read the states in it, by step. To be used in a ``with`` statement.

    Not collective, and without MPI. The file is neither changed nor locked: the run that writes it
    may still be going, have been killed, or have ended. States that a run has discarded may still
    be there.

    Parameters
    ----------
    path
        Of the file itself: symbolic links are refused.
    verify
        Compare every state that is read with its checksum.

    Returns
    -------
    Snapshots
        ``snapshots.steps``, and ``snapshots[step]["height"]`` if the file was made on one rank;
        ``snapshots.read(step, "height", rank=1)`` and ``snapshots.parts(step, "height")`` on any.

    Raises
    ------
    SnapshotFileError
        It is not a snapshot file of this version, or is damaged.
    """
    return Snapshots(path, verify=verify)


def _nothing(count: int) -> None:
    del count
