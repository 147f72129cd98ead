"""How a run gets its snapshot file: created, taken over from an earlier run, or refused.

With an MPI build of h5py all ranks create the file together; otherwise rank 0 does. What exists
already is used only if it is a snapshot file of the same problem: anything else is left as it is,
and named in the error. What fails on one rank fails on all.

Importing this module imports h5py, which under mpirun may initialise MPI: it is imported only where
there is a file.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.agreement import on_all_ranks
from adjoint.storage.create import (
    can_write_together,
    claim,
    is_reservable,
    remove,
    write_structure,
)
from adjoint.storage.difference import difference
from adjoint.storage.engines.registry import EngineFactory, open_engine
from adjoint.storage.file_format import HEADER_BYTES, JOURNAL_RECORDS, FileSpec, Structure
from adjoint.storage.file_io import CHUNK_BYTES, write_fully
from adjoint.storage.index import ENTRY_BYTES
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.store import FileStore
from adjoint.storage.validate import examine, open_regular

__all__ = ["create_file", "open_store", "rows_at"]

T = TypeVar("T")


def open_store(
    path: str | os.PathLike[str],
    comm: Communicator,
    spec: FileSpec,
    rows: int,
    *,
    engine: str | EngineFactory | None,
    resume: bool = False,
) -> FileStore:
    """Return a store with room for `rows` states. Collective on `comm`.

    `engine` is as in `open_engine`, the rest as in `create_file`.

    Raises
    ------
    SnapshotFileError
        On every rank: the file cannot be created or is not ours, or the engine cannot be used on
        it.
    """
    file = create_file(path, comm, spec, rows, resume=resume)
    try:
        return FileStore(file, open_engine(file.placement, comm, engine))
    except BaseException:
        file.close()
        raise


def rows_at(path: str | os.PathLike[str], comm: Communicator, spec: FileSpec) -> int | None:
    """Return how many rows the file at `path` has; None if there is none, or a folder.

    Collective on `comm`. Nothing is created or changed.

    Raises
    ------
    SnapshotFileError
        On every rank: there is something else, or a file of another problem.
    """
    structure = Structure.of(comm.gather(spec), 1)
    place: str = comm.gather(os.path.abspath(path))[0]

    def count_rows() -> int | None:
        if not os.path.lexists(place) or os.path.isdir(place):
            return None
        return _existing(place, structure)[1]

    return _on_rank_zero(count_rows, comm, place)


def create_file(
    path: str | os.PathLike[str],
    comm: Communicator,
    spec: FileSpec,
    rows: int,
    *,
    resume: bool = False,
) -> SnapshotFile:
    """Create the file at `path`, or take over the one that this problem left there.

    Collective on `comm`. Only the owner of the file can read it.

    Parameters
    ----------
    path
        That of rank 0 counts. If it is a folder, the file is a temporary one in it, without a
        journal, that is removed at close. If it is a file, that must be a snapshot file of the same
        format, problem, layouts and number of ranks; it is emptied, or, if it has fewer rows,
        replaced.
    comm
        The ranks whose states are kept.
    spec
        What this rank keeps.
    rows
        The number of states that can be kept at once.
    resume
        Leave an existing file and its content as they are, for `SnapshotFile.recall`.

    Raises
    ------
    SnapshotFileError
        On every rank: it cannot be created, or there is something else, which is left as it is.
    """
    place, is_folder = comm.gather((os.path.abspath(path), os.path.isdir(path)))[0]
    if is_folder:
        name = comm.gather(f"adjoint-{secrets.token_hex(8)}.h5")[0]
        place, spec = os.path.join(place, name), replace(spec, journal=None, accepted_steps=0)
    structure = Structure.of(comm.gather(spec), rows)
    is_new = _on_rank_zero(partial(_claim, place, structure, resume=resume), comm, place)
    try:
        if is_new:
            starts = _write(place, structure, comm)
        else:
            take_over = partial(_existing, place, structure, empty=not resume)
            starts, found = _on_rank_zero(take_over, comm, place)
            if resume:
                structure = replace(structure, rows=found)
        reservable = _on_all_ranks(lambda: is_reservable(place), comm, place)
    except SnapshotFileError:
        if is_new and comm.rank == 0:
            remove(place)
        raise
    everywhere = all(comm.gather(reservable))
    placement = structure.placement(place, comm.rank, starts, reservable=everywhere)
    return SnapshotFile(placement, removed_at_close=is_folder and comm.rank == 0)


def _on_all_ranks(work: Callable[[], T], comm: Communicator, path: str) -> T:
    """Return what `work` returns; if it fails on any rank, raise on every rank."""
    failing = f"cannot use the snapshot file {path}"
    return on_all_ranks(work, comm, failing=failing, catch=Exception)  # h5py raises many kinds


def _on_rank_zero(work: Callable[[], T], comm: Communicator, path: str) -> T:
    """Return what `work` returns on rank 0, on every rank; if it fails, raise on every rank."""

    def on_this_rank() -> T | None:
        return work() if comm.rank == 0 else None

    return comm.gather(_on_all_ranks(on_this_rank, comm, path))[0]


# -- a new file -------------------------------------------------------------------------------


def _claim(path: str, structure: Structure, *, resume: bool) -> bool:
    """Create an empty file; return False if there is one to take over.

    One of the same problem with too few rows makes way for the new file.
    """
    if os.path.lexists(path):
        if resume or _existing(path, structure)[1] >= structure.rows:
            return False
        remove(path)
    return claim(path, structure.metadata_bytes, structure.file_bytes)


def _write(path: str, structure: Structure, comm: Communicator) -> dict[str, int]:
    """Write the structure to a claimed file; return the byte at which each dataset begins."""
    together = comm.mpi is not None and can_write_together()
    mpi = comm.mpi if together else None
    write = partial(write_structure, path, structure, mpi, writes_layout=comm.rank == 0)
    if not together:
        return _on_rank_zero(write, comm, path)
    return _on_all_ranks(write, comm, path)


# -- a file that exists -------------------------------------------------------------------------


def _existing(path: str, wanted: Structure, *, empty: bool = False) -> tuple[dict[str, int], int]:
    """Return where the datasets of an existing file begin, and how many rows it has.

    Whatever it holds is made invalid if `empty`.

    Raises
    ------
    SnapshotFileError
        It is not a snapshot file of the same problem.
    """
    try:
        descriptor = open_regular(path, writable=True)
        try:
            found, starts = examine(descriptor, path)
            reason = difference(wanted, found)
            if reason is not None:
                raise SnapshotFileError(f"{path} {reason}")
            if empty:
                _invalidate(descriptor, found, starts)
        finally:
            os.close(descriptor)
    except SnapshotFileError as refused:
        raise SnapshotFileError(
            f"{refused}: it is left as it is. Give another file name, or remove it yourself"
        ) from refused
    return starts, found.rows


def _invalidate(descriptor: int, found: Structure, starts: dict[str, int]) -> None:
    """Clear the index, and the headers of both records of the journal."""
    _clear(descriptor, starts["index"], found.rows * found.ranks * ENTRY_BYTES)
    for record in range(JOURNAL_RECORDS if found.journals else 0):
        start = starts["journal"] + record * found.record_bytes
        for journal in found.journals:
            _clear(descriptor, start, HEADER_BYTES)
            start += journal.record_bytes


def _clear(descriptor: int, start: int, count: int) -> None:
    for done in range(0, count, CHUNK_BYTES):
        zeros = memoryview(bytes(min(CHUNK_BYTES, count - done)))
        write_fully(descriptor, zeros, start + done)
