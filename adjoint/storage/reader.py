"""The states in a snapshot file, for somebody who only looks.

No MPI, no lock, nothing written: the file may belong to a run that is still going, was killed, or
has ended. What such a run does meanwhile is noticed: a state is given out only if its index entry
was the same before and after it was read, and its bytes are those that the entry vouches for.

Whoever made the file is not trusted; see `adjoint.storage.validate`. A state takes as much memory
as it has bytes; nothing else here takes more than some megabytes.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, SnapshotFileError, TransferError
from adjoint.storage.checksums import RunningChecksum
from adjoint.storage.description import Description
from adjoint.storage.file_format import INDEX_DTYPE
from adjoint.storage.journal_reader import JournalRecord, read_journal
from adjoint.storage.placement import ENTRY_BYTES, Entry
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.validate import Found, examine, open_to_read

__all__ = ["Contents", "Snapshots", "open_snapshots"]

READ_AT_ONCE = 1 << 22

INDEX_READ_AT_ONCE = 1 << 20

Progress = Callable[[int], object]

EMPTY_ROWS = 4096
"""After so many empty rows no used one is looked for: a resumed run does not either."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Which states a file has, as its index was when it was read."""

    rows: dict[int, int]
    """Row by step, in ascending order of steps. Of several rows, the one written last."""
    used: int
    """Rows that hold anything."""
    stale: int
    """Of these, those that an earlier evaluation wrote, or that were written anew since."""
    disagreeing: int
    """Of these, those on which the ranks disagree: they were being written when the run ended."""


class Snapshots(Mapping[int, dict[str, NDArray[Any]]]):
    """The states in a snapshot file, by step. Made by `open_snapshots`; a context manager.

    The file may change meanwhile: `steps`, `len` and iteration say what it holds when they are
    asked. Arrays that are given out are fresh copies, the caller's to keep.
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool) -> None:
        self.path = os.path.abspath(path)
        self._verify = verify
        self._descriptor = open_to_read(path)
        try:
            self._found: Found = examine(self._descriptor, self.path)
            self._description = Description.of(self._found)
            sizes = (layout.block_bytes for layout in self._description.layouts)
            self._parts = list(accumulate(sizes, initial=0))
            self._rows = self.contents().rows
        except BaseException:
            self.close()
            raise

    @property
    def found(self) -> Found:
        """What the file consists of."""
        return self._found

    @property
    def description(self) -> Description:
        """The layouts of all ranks' states."""
        return self._description

    @property
    def sizes(self) -> tuple[int, int]:
        """The length of the file, and the bytes that it takes on disk, at present."""
        self._require_open()
        status = os.fstat(self._descriptor)
        return status.st_size, 512 * status.st_blocks

    @property
    def num_ranks(self) -> int:
        """How many ranks wrote the file."""
        return self._found.ranks

    @property
    def steps(self) -> list[int]:
        """The steps whose states the file has, in ascending order."""
        self._rows = self.contents().rows
        return list(self._rows)

    def layout(self, rank: int = 0) -> StateLayout:
        """Return names, shapes and dtypes of the arrays of one rank's part of a state.

        Raises
        ------
        ArgumentError
            There is no such rank.
        """
        if not 0 <= rank < self.num_ranks:
            raise ArgumentError(
                f"there is no rank {rank} in {self.path}: it was made on {self.num_ranks}"
            )
        return self._description.layouts[rank]

    def read(self, step: int, field: str, *, rank: int = 0) -> NDArray[Any]:
        """Return one array of one rank's part of the state at `step`: a fresh copy.

        The whole part is read, to be compared with its checksum, unless the file was opened without
        verifying.

        Raises
        ------
        KeyError
            The file does not have that state, or has it no more.
        ArgumentError
            There is no such array, or no such rank.
        TransferError
            It cannot be read, or is not what was written.
        """
        names = [known.name for known in self.layout(rank).fields]
        if field not in names:
            raise ArgumentError(
                f"there is no array {field!r} on rank {rank} in {self.path}: there is "
                + (", ".join(map(repr, names)) or "nothing")
            )
        return self._load(step, rank, {field})[field]

    def parts(self, step: int, field: str) -> list[NDArray[Any]]:
        """Return that array of every rank, in rank order. Raises what `read` does."""
        return [self.read(step, field, rank=rank) for rank in range(self.num_ranks)]

    def __getitem__(self, step: int) -> dict[str, NDArray[Any]]:
        """Return the whole state at `step`, if one rank made the file. Raises what `read` does."""
        if self.num_ranks > 1:
            raise ArgumentError(
                f"{self.path} was made on {self.num_ranks} ranks: read(step, field, rank=...) "
                "gives the part of one, parts(step, field) those of all"
            )
        return self._load(step, 0, None)

    def __contains__(self, step: object) -> bool:
        return step in self.steps

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def close(self) -> None:
        """Close the file. Twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- for those who inspect a file -----------------------------------------------------------

    def journal(self, *, verify: bool = False) -> list[JournalRecord]:
        """Return the records that a run could be resumed from, the latest first."""
        self._require_open()
        return read_journal(self._descriptor, self._found, self._description, verify=verify)

    def contents(self) -> Contents:
        """Return which states the file has now."""
        self._require_open()
        records = self.journal()
        first = records[0].note.first_sequence if records else 0
        used = disagreeing = 0
        states: list[NDArray[np.int64]] = [np.empty((3, 0), np.int64)]
        for row, entries in self._index():
            taken = entries["sequence"].any(axis=1)
            used += int(np.count_nonzero(taken))
            steps, sequences = entries["step"], entries["sequence"]
            agreed = taken & (steps == steps[:, :1]).all(axis=1) & (steps[:, 0] >= 0)
            agreed &= (sequences == sequences[:, :1]).all(axis=1)
            disagreeing += int(np.count_nonzero(taken & ~agreed))
            recent = agreed & (sequences[:, 0] >= first)
            rows = np.flatnonzero(recent)
            numbers = sequences[rows, 0].astype(np.int64)
            states.append(np.stack([steps[rows, 0], numbers, row + rows]))
        steps, numbers, rows = np.concatenate(states, axis=1)
        order = np.lexsort((numbers, steps))
        found = dict(zip(steps[order].tolist(), rows[order].tolist(), strict=True))
        return Contents(found, used, used - disagreeing - len(found), disagreeing)

    def check(self, step: int, row: int, rank: int, progress: Progress) -> str | None:
        """Return why one rank's part of a row is not the state that it should be, if it is not.

        One that is being written anew is no fault: then there is nothing to find. `progress` is
        told of bytes that were read.
        """
        try:
            self._load_row(step, row, rank, set(), progress)
        except (TransferError, _ChangedError) as error:
            return None if isinstance(error, _ChangedError) else str(error)
        return None

    # -- inside ---------------------------------------------------------------------------------

    def _index(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Give the index in parts, each with its first row, until there are only empty rows."""
        found = self._found
        size, start = found.index_row_bytes, found.extents["index"].start
        at_once = min(EMPTY_ROWS, max(1, INDEX_READ_AT_ONCE // size))
        row = empty = 0
        while row < found.rows and empty <= EMPTY_ROWS:
            count = min(at_once, found.rows - row)
            data = os.pread(self._descriptor, count * size, start + row * size)
            if len(data) < count * size:
                raise SnapshotFileError(f"{self.path} was cut short since it was opened")
            entries = np.frombuffer(data, INDEX_DTYPE).reshape(count, found.ranks)
            yield row, entries
            taken = np.flatnonzero(entries["sequence"].any(axis=1))
            empty = count - 1 - int(taken[-1]) if len(taken) else empty + count
            row += count

    def _load(self, step: int, rank: int, names: set[str] | None) -> dict[str, NDArray[Any]]:
        """Return the arrays of these names, or all of them."""
        self._require_open()
        wanted = {field.name for field in self.layout(rank).fields} if names is None else names
        for rows in (self._rows, None):
            known = self.contents().rows if rows is None else rows
            self._rows = known
            if step not in known:
                continue
            try:
                return self._load_row(step, known[step], rank, wanted, _nothing)
            except _ChangedError:
                continue
        raise KeyError(f"{self.path} has no state {step}")

    def _load_row(
        self, step: int, row: int, rank: int, names: set[str], progress: Progress
    ) -> dict[str, NDArray[Any]]:
        entry = self._entry(row, rank)
        if entry.step != step or not entry.sequence:
            raise _ChangedError
        problem, arrays = None, {}
        try:
            arrays, checksum = self._read_row(row, rank, names, progress)
            if checksum is not None and checksum != entry.checksum:
                problem = (
                    f"its checksum is {checksum:#018x}, {entry.checksum:#018x} was written: "
                    "the file was changed by something else, or the disk is failing"
                )
        except (OSError, MemoryError) as failure:
            problem = str(failure) or "it does not fit into memory"
        if self._entry(row, rank) != entry:
            raise _ChangedError
        if problem is not None:
            raise TransferError(
                f"could not read state {step}, row {row} of {self.path}, of rank {rank}: {problem}"
            )
        return arrays

    def _read_row(
        self, row: int, rank: int, names: set[str], progress: Progress
    ) -> tuple[dict[str, NDArray[Any]], int | None]:
        """Return the arrays of these names, and what the checksum of all of them comes to."""
        layouts, found = self._description.layouts, self._found
        start = found.extents["snapshots"].start + row * found.row_bytes + self._parts[rank]
        verify = self._verify or not names
        running = RunningChecksum()
        scratch = np.empty(READ_AT_ONCE if verify else 0, np.uint8)
        arrays: dict[str, NDArray[Any]] = {}
        end = 0

        def take(where: NDArray[np.uint8], offset: int) -> None:
            self._fill(where, start + offset)
            progress(where.size)
            if verify:
                running.update(where)

        def skip(until: int) -> None:
            for offset in range(end, until if verify else end, READ_AT_ONCE):
                take(scratch[: min(READ_AT_ONCE, until - offset)], offset)

        for field in layouts[rank].fields:
            if field.name not in names:
                continue
            skip(field.offset)
            data = np.empty(field.nbytes, np.uint8)
            for done in range(0, field.nbytes, READ_AT_ONCE):
                take(data[done : done + READ_AT_ONCE], field.offset + done)
            arrays[field.name] = np.ndarray(field.shape, field.dtype, data.data)
            end = field.offset + field.nbytes
        skip(layouts[rank].nbytes)
        return arrays, running.value if verify else None

    def _entry(self, row: int, rank: int) -> Entry:
        start = self._found.extents["index"].start + row * self._found.index_row_bytes
        data = os.pread(self._descriptor, ENTRY_BYTES, start + rank * ENTRY_BYTES)
        if len(data) < ENTRY_BYTES:
            raise SnapshotFileError(f"{self.path} was cut short since it was opened")
        return Entry.unpacked(data)

    def _fill(self, array: NDArray[np.uint8], offset: int) -> None:
        data = array.data
        while data:
            count = os.preadv(self._descriptor, [data], offset)
            if count == 0:
                raise OSError(f"the file ends at byte {offset}: something has cut it short")
            data, offset = data[count:], offset + count

    def _require_open(self) -> None:
        if self._descriptor < 0:
            raise ArgumentError(f"{self.path} has been closed: read within the with block")


class _ChangedError(Exception):
    """A row does not hold the state that it held when the index was read."""


def open_snapshots(path: str | os.PathLike[str], *, verify: bool = True) -> Snapshots:
    """Open a snapshot file to read the states in it, by step. To be used in a ``with`` statement.

    Not collective, and without MPI. Nothing is changed, nothing locked: the run that writes the
    file may still be going, have been killed, or have ended. A run that has given a state up may
    have left it there.

    Parameters
    ----------
    path
        Of the file; its name, not that of a symbolic link.
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
