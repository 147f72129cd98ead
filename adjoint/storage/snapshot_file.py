"""The snapshot file: one HDF5 file a run, made once, whose structure never changes afterwards.

===============  ==================================================================================
``/snapshots``   bytes, one row a state: every rank's block in rank order, each as long as its
                 layout's `block_bytes`. Contiguous, allocated early and never filled, so it is
                 sparse: a row takes disk space when it is first written.
``/index``       (rows, ranks) of (step, sequence, checksum, cost): which state each rank's part of
                 a row holds, and what the run up to it had cost there. A row is valid if all its
                 ranks have the same step and the same sequence number, and that is not 0.
``/layout``      JSON: the names, shapes, dtypes and offsets of the arrays in a block, each
                 different layout once, and for every rank which one it has.
``/journal``     bytes, two records: what a killed run goes on from; `journal_file` says more. Only
                 in a file that is kept, as are the two that follow.
``/gradients``   bytes: the gradients that have a row for each step, rank by rank. Only where there
                 are such.
``/steps``       (capacity, 2): time and length of each accepted step. Only where the number of
                 steps is not known beforehand.
attributes       ``format_version``, ``communicator_size``, ``fingerprint`` (SHA-256)
===============  ==================================================================================

The HDF5 library makes the file and is then done with it: an engine moves bytes to and from the
offsets in a `Placement`. So a killed run leaves a sound file, and any HDF5 tool may open it at any
time. With an MPI build of h5py all ranks make it together; with any other rank 0 does.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, cast

from adjoint.errors import ScheduleError, SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.claiming import claim, open_regular, refused, remove, reservable
from adjoint.storage.create import can_write_together, write_structure
from adjoint.storage.file_format import Structure
from adjoint.storage.journal_layout import HEADER_BYTES, JOURNAL_RECORDS, JournalLayout
from adjoint.storage.placement import ENTRY_BYTES, Entry, Placement
from adjoint.storage.recalling import recalled
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.validate import Found, examine

__all__ = ["SnapshotFile"]

CLEARED_AT_ONCE = 1 << 20
"""Bytes of the index that are zeroed by one call."""

T = TypeVar("T")


class SnapshotFile:
    """An existing file with room for some states, and which of its rows are in use.

    Made by `create` or `temporary`. A row holds one state of all ranks. All ranks take rows and
    give them back by the same calls, so they agree on them without a word.
    """

    def __init__(self, placement: Placement, *, removed_at_close: bool, owns_path: bool) -> None:
        self.placement = placement
        """Where this rank's part of every row is: what an engine needs."""
        self._removes = removed_at_close and owns_path
        self._free: list[int] = []
        self._taken: set[int] = set()
        self._touched = 0

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        comm: Communicator,
        layout: StateLayout,
        rows: int,
        fingerprint: bytes,
        *,
        journal: JournalLayout | None = None,
        accepted_steps: int = 0,
        resume: bool = False,
    ) -> Self:
        """Make the file, or take one that this problem left; it is kept at close.

        Collective. Rank 0's path counts. Nobody but the file's owner can read it.

        Parameters
        ----------
        path
            Where. If there is something already, it must be a snapshot file of the same format,
            fingerprint, layouts and number of ranks. With fewer rows it is made anew. What it holds
            is given up, unless it is to be resumed from.
        comm
            The ranks whose states are kept.
        layout
            Of this rank's state; it may be empty, but not on all ranks.
        rows
            How many states there may be at once.
        fingerprint
            What tells this problem from others.
        journal
            Of this rank; None for a file that no run resumes from.
        accepted_steps
            How many accepted steps there is to be room for.
        resume
            Leave what it holds, for `recall`.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be made there, or what is there is something else, which is
            left as it is.
        """
        structure = _structure(comm, layout, rows, fingerprint, journal, accepted_steps)
        return cls._open(os.fspath(path), comm, structure, removed_at_close=False, keeps=resume)

    @classmethod
    def temporary(
        cls,
        directory: str | os.PathLike[str],
        comm: Communicator,
        layout: StateLayout,
        rows: int,
        fingerprint: bytes,
    ) -> Self:
        """Make a file of a name that nothing else has; it is removed at close. Collective.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be made there.
        """
        path = os.path.join(directory, f"adjoint-{secrets.token_hex(8)}.h5")
        structure = _structure(comm, layout, rows, fingerprint)
        return cls._open(path, comm, structure, removed_at_close=True)

    @staticmethod
    def rows_at(
        path: str | os.PathLike[str],
        comm: Communicator,
        layout: StateLayout,
        fingerprint: bytes,
        *,
        journal: JournalLayout | None = None,
        accepted_steps: int = 0,
    ) -> int | None:
        """Return how many rows the file at `path` has; None if there is nothing.

        Collective. Nothing is made or changed.

        Raises
        ------
        SnapshotFileError
            On every rank: what is there is not ours, or is another problem's.
        """
        structure = _structure(comm, layout, 1, fingerprint, journal, accepted_steps)
        place: str = comm.gather(os.path.abspath(path))[0]
        return _on_rank_zero(comm, place, lambda: _rows_at(place, structure))

    @classmethod
    def _open(
        cls,
        path: str,
        comm: Communicator,
        structure: Structure,
        *,
        removed_at_close: bool,
        keeps: bool = False,
    ) -> Self:
        path = comm.gather(os.path.abspath(path))[0]
        is_new = _on_rank_zero(comm, path, lambda: _claim(path, structure, keeps=keeps))
        try:
            if is_new:
                starts, rows = _make(path, structure, comm), structure.rows
            else:
                reopen = partial(_reopen, path, structure, keeps=keeps)
                starts, rows = _on_rank_zero(comm, path, reopen)
            every_rank_can = all(_on_all_ranks(comm, path, lambda: reservable(path)))
        except SnapshotFileError:
            if is_new and comm.rank == 0:
                remove(path)
            raise
        structure = replace(structure, rows=rows if keeps else structure.rows)
        placement = structure.placement(path, comm.rank, starts, reservable=every_rank_can)
        return cls(placement, removed_at_close=removed_at_close, owns_path=comm.rank == 0)

    @property
    def path(self) -> str:
        """Where it is."""
        return self.placement.path

    @property
    def row_bytes(self) -> int:
        """What one state of all ranks takes."""
        return self.placement.row_bytes

    @property
    def disk_bytes_used(self) -> int:
        """What the rows that were ever in use take, all ranks together."""
        return self._touched * self.row_bytes

    @property
    def has_room(self) -> bool:
        """Whether there is a row that can be taken."""
        return bool(self._free) or self._touched < self.placement.rows

    def take_row(self) -> int:
        """Return a row that holds nothing: the one given back last, else the first never used.

        Raises
        ------
        ScheduleError
            Every row is taken.
        """
        if self._free:
            row = self._free.pop()
        elif self._touched < self.placement.rows:
            row = self._touched
            self._touched += 1
        else:
            raise ScheduleError(
                f"all {self.placement.rows} rows of {self.path} are in use: the schedule keeps "
                "more states in the file than it was made for"
            )
        self._taken.add(row)
        return row

    def give_back_row(self, row: int) -> None:
        """Give up a row and what it holds.

        Raises
        ------
        ScheduleError
            It is not taken.
        """
        if row not in self._taken:
            raise ScheduleError(f"row {row} of {self.path} was given back, but is not taken")
        self._taken.remove(row)
        self._free.append(row)

    def retire_row(self, row: int) -> None:
        """Give up a row for good: it could not be written, or not be read.

        Raises
        ------
        ScheduleError
            It is not taken.
        """
        self.give_back_row(row)
        self._free.remove(row)

    def recall(self, comm: Communicator, first: int) -> tuple[dict[int, tuple[int, Entry]], int]:
        """Return what an earlier run left: by step, the row and this rank's entry.

        And the number of the last write of any rank. Collective. The rows are taken then. What was
        written before the write of number `first` does not count.
        """
        found = recalled(self.placement, comm, first)
        self._touched = found.rows
        self._taken = {row for row, _ in found.states.values()}
        self._free = [row for row in reversed(range(found.rows)) if row not in self._taken]
        return found.states, found.writes

    def close(self) -> None:
        """Remove the file if it is a temporary one. Not collective: rank 0 does it."""
        if self._removes:
            self._removes = False
            remove(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _structure(
    comm: Communicator,
    layout: StateLayout,
    rows: int,
    fingerprint: bytes,
    journal: JournalLayout | None = None,
    accepted_steps: int = 0,
) -> Structure:
    """Return the structure of a file for the states of all ranks. Collective."""
    ranks = comm.gather((layout, journal))
    return Structure.of(
        [layout for layout, _ in ranks],
        rows,
        fingerprint,
        journals=[journal for _, journal in ranks if journal is not None],
        accepted_steps=accepted_steps,
    )


def _on_rank_zero(comm: Communicator, path: str, work: Callable[[], T]) -> T:
    """Return what `work` returns on rank 0, on every rank; if it fails, raise on every rank."""
    results = _on_all_ranks(comm, path, work if comm.rank == 0 else lambda: None)
    return cast(T, results[0])


def _on_all_ranks(comm: Communicator, path: str, work: Callable[[], T]) -> list[T]:
    """Return what `work` returns on each rank, on every rank; if one fails, raise on every rank."""
    result, error = None, None
    try:
        result = work()
    except SnapshotFileError as failure:
        error = failure
    except Exception as failure:  # h5py raises many kinds
        error = SnapshotFileError(f"cannot use the snapshot file {path}: {failure}")
        error.__cause__ = failure
    comm.agree(error)
    return comm.gather(result)


# -- a new file -------------------------------------------------------------------------------


def _make(path: str, structure: Structure, comm: Communicator) -> dict[str, int]:
    """Write the structure to a claimed file; return where its datasets begin."""
    together = comm.mpi is not None and can_write_together()
    ranks = comm.mpi if together else None
    write = partial(write_structure, path, structure, ranks, writes_layout=comm.rank == 0)
    return _on_all_ranks(comm, path, write)[0] if together else _on_rank_zero(comm, path, write)


# -- a file that is there already ---------------------------------------------------------------


def _reopen(path: str, structure: Structure, *, keeps: bool) -> tuple[dict[str, int], int]:
    """Return where the datasets of a file of the same problem begin, and how many rows it has.

    It is emptied, unless it `keeps` what it has.
    """
    descriptor = open_regular(path)
    try:
        starts, rows = _inspect(path, structure)
        if not keeps:
            _clear(descriptor, starts["index"], rows * structure.ranks * ENTRY_BYTES)
            for record in range(JOURNAL_RECORDS if structure.journals else 0):
                start = starts["journal"] + record * structure.record_bytes
                for journal in structure.journals:
                    _clear(descriptor, start, HEADER_BYTES)
                    start += journal.record_bytes
    finally:
        os.close(descriptor)
    return starts, rows


def _clear(descriptor: int, start: int, count: int) -> None:
    for done in range(0, count, CLEARED_AT_ONCE):
        os.pwrite(descriptor, bytes(min(CLEARED_AT_ONCE, count - done)), start + done)


def _claim(path: str, structure: Structure, *, keeps: bool) -> bool:
    """Make an empty file; return False if there is one that may serve.

    One of the same problem with too few rows makes way: the plan was another one then.
    """
    if os.path.lexists(path):
        os.close(open_regular(path))
        if keeps or _inspect(path, structure)[1] >= structure.rows:
            return False
        remove(path)
    return claim(path, structure.metadata_bytes, structure.file_bytes)


def _rows_at(path: str, structure: Structure) -> int | None:
    if not os.path.lexists(path):
        return None
    os.close(open_regular(path))
    return _inspect(path, structure)[1]


def _inspect(path: str, structure: Structure) -> tuple[dict[str, int], int]:
    """Return where the datasets begin, and the number of rows, if the file is ours."""
    descriptor = open_regular(path)
    try:
        found = examine(descriptor, path)
    except SnapshotFileError as failure:
        raise refused(path, str(failure).removeprefix(f"{path} ")) from failure
    finally:
        os.close(descriptor)
    difference = _difference(structure, found)
    if difference is not None:
        raise refused(path, difference)
    return {name: extent.start for name, extent in found.extents.items()}, found.rows


def _difference(structure: Structure, found: Found) -> str | None:
    """Return why a snapshot file cannot serve as the one wanted, if it cannot."""
    if found.ranks != structure.ranks:
        return f"was made on {found.ranks} ranks, not {structure.ranks}"
    if found.fingerprint != structure.fingerprint:
        return "belongs to another problem"
    if found.described != structure.described():
        return "is for states of other names, shapes or types"
    shapes = {name: extent.shape for name, extent in found.extents.items()}
    expected = replace(structure, rows=found.rows).datasets()
    if shapes != {name: shape for name, (_, shape) in expected.items()}:
        return "has room for another journal, or another number of accepted steps"
    return None
