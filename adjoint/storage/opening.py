"""How a run gets its snapshot file: created, taken over from an earlier run, or refused.

Rank 0 makes a new file (`adjoint.storage.claim`). Every rank opens it for its transfers before it
gets its name, and nobody opens it by a name that another rank may not see yet.

What exists already is used only if it is a snapshot file of the same problem, of the same user and
of no live run (`adjoint.storage.lock`): anything else is left as it is, and named in the error.
What fails on one rank fails on all.

Importing this module imports h5py, which under mpirun may initialise MPI: it is imported only where
there is a file.
"""

import errno
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.agreement import on_all_ranks
from adjoint.storage.claim import Claim
from adjoint.storage.create import is_reservable, write_structure
from adjoint.storage.difference import difference
from adjoint.storage.engines.base import Engine
from adjoint.storage.engines.deadline import rows_overdue
from adjoint.storage.engines.registry import EngineFactory, open_engine
from adjoint.storage.file_format import HEADER_BYTES, JOURNAL_RECORDS, FileSpec, Structure
from adjoint.storage.file_io import CHUNK_BYTES, write_fully
from adjoint.storage.index import ENTRY_BYTES
from adjoint.storage.lock import require_own
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.store import FileStore
from adjoint.storage.validate import examine, open_regular

__all__ = ["create_file", "open_store", "rows_at"]

T = TypeVar("T")

NOT_YET_SEEN = (errno.ENOENT, errno.ESTALE)

PAUSES_SECONDS = tuple(0.01 * 2**k for k in range(9))
"""About 5 s in all: network file systems show another node's new file with some delay."""


def open_store(
    path: str | os.PathLike[str],
    comm: Communicator,
    spec: FileSpec,
    rows: int,
    *,
    engine: str | EngineFactory | None,
    deadline: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> FileStore:
    """Return a store with room for `rows` states. Collective on `comm`.

    `engine` is as in `open_engine`, `deadline` as in `Engine.give_up_after`, the rest as in
    `create_file`.

    Raises
    ------
    SnapshotFileError
        On every rank: the file cannot be created or is not ours, or the engine cannot be used on
        it.
    """
    file = _opened(path, comm, spec, rows, resume=resume, overwrite=overwrite)
    opened: Engine | None = None
    try:
        opened = open_engine(file.placement, comm, engine)
        _give_name(file, comm)
        opened.give_up_after(deadline)
        return FileStore(file, opened, deadline)
    except BaseException as error:
        if opened is not None and comm.has_agreed(error):  # closing an engine may be collective
            opened.close()
        file.close()
        raise


def rows_at(
    path: str | os.PathLike[str], comm: Communicator, spec: FileSpec, *, overwrite: bool = False
) -> int | None:
    """Return how many rows the file at `path` has; None if there is none, or a folder.

    Collective on `comm`. Nothing is created or changed. With `overwrite`, a snapshot file of
    another problem counts as none.

    Raises
    ------
    SnapshotFileError
        On every rank: there is something else, a file of another problem, or of a live run.
    """
    structure = Structure.of(comm.gather(spec), 1)
    place: str = comm.gather(os.path.abspath(path))[0]

    def count_rows() -> int | None:
        if not os.path.lexists(place) or os.path.isdir(place):
            return None
        existing = _existing(place, structure, overwrite=overwrite)
        claim = Claim(place, is_temporary=False)
        try:
            claim.take()  # to learn whether another run uses it
        finally:
            claim.close()
        return None if existing is None else existing.rows

    return _on_rank_zero(count_rows, comm, place)


def create_file(
    path: str | os.PathLike[str],
    comm: Communicator,
    spec: FileSpec,
    rows: int,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> SnapshotFile:
    """Create the file at `path`, or take over the one that this problem left there.

    Collective on `comm`. Only the owner of the file can read it.

    Parameters
    ----------
    path
        That of rank 0 counts. If it is a folder, the file is a temporary one in it, without a
        journal, that has no name any more when this returns. If it is a file, that must be a
        snapshot file of the same format, problem, layouts and number of ranks, and no live run may
        use it; it is emptied, or, if it has fewer rows or none for tapes, replaced.
    comm
        The ranks whose states are kept.
    spec
        What this rank keeps.
    rows
        The number of states that can be kept at once.
    resume
        Leave an existing file and its content as they are, for `SnapshotFile.recall`.
    overwrite
        Replace a snapshot file of another problem of this user.

    Raises
    ------
    SnapshotFileError
        On every rank: it cannot be created, or there is something else, which is left as it is.
    """
    file = _opened(path, comm, spec, rows, resume=resume, overwrite=overwrite)
    try:
        _give_name(file, comm)
    except BaseException:
        file.close()
        raise
    return file


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that rank 0 has found or made."""

    path: str
    """Its present name."""
    rows: int
    pieces: tuple[StateLayout, ...]
    """As in `Structure`."""
    starts: dict[str, int]
    """The byte at which each of its datasets begins."""

    def serves(self, wanted: Structure) -> bool:
        """Return whether it has enough rows, and of the right size."""
        return self.rows >= wanted.rows and self.pieces == wanted.pieces


def _opened(
    path: str | os.PathLike[str],
    comm: Communicator,
    spec: FileSpec,
    rows: int,
    *,
    resume: bool,
    overwrite: bool,
) -> SnapshotFile:
    """Return the file, open on every rank; a new one has a provisional name. See `create_file`."""
    name, is_folder = comm.gather((os.path.abspath(path), os.path.isdir(path)))[0]
    if is_folder:
        token = comm.gather(secrets.token_hex(8))[0]
        name = os.path.join(name, f"adjoint-{token}.h5")
        spec = replace(spec, journal=None, accepted_steps=0)
    structure = Structure.of(comm.gather(spec), rows)
    claim = Claim(name, is_temporary=is_folder)
    try:
        find = partial(_find, claim, structure, resume=resume, overwrite=overwrite)
        found = _on_rank_zero(find, comm, name)
        opening = partial(_open_soon, found.path)
        descriptor = on_all_ranks(opening, comm, failing=_failing(name), undo=os.close)
        reservable = all(comm.gather(is_reservable(descriptor)))
        structure = replace(structure, rows=found.rows, pieces=found.pieces)
        placement = structure.placement(
            found.path, name, descriptor, comm.rank, found.starts, reservable=reservable
        )
        unusable = set[int]().union(*comm.gather(rows_overdue(descriptor)))
        return SnapshotFile(placement, claim, unusable=unusable)
    except BaseException:
        claim.close()
        raise


def _find(claim: Claim, structure: Structure, *, resume: bool, overwrite: bool) -> _Found:
    """Return the file that there is, or a new one where it is none or has too few rows."""
    claim.take()
    name, exists = claim.name, os.path.lexists(claim.name)
    if exists:
        found = _existing(name, structure, overwrite=overwrite, empty=not resume)
        serves = found is not None and found.serves(structure)
        if found is not None and (resume or serves):
            return found
    starts = claim.make(partial(write_structure, structure=structure), replaces=exists)
    return _Found(claim.path, structure.rows, structure.pieces, starts)


def _open_soon(path: str) -> int:
    """Return a descriptor of a file that rank 0 has open; another node may see it a little later.

    Raises
    ------
    SnapshotFileError
        It cannot be opened, or not after a few seconds.
    """
    for pause in PAUSES_SECONDS:
        try:
            return open_regular(path, writable=True)
        except SnapshotFileError as failure:
            if getattr(failure.__cause__, "errno", None) not in NOT_YET_SEEN:
                raise
        time.sleep(pause)
    return open_regular(path, writable=True)


def _give_name(file: SnapshotFile, comm: Communicator) -> None:
    """Give a new file its name, or none if it is temporary: every rank has it open. Collective."""
    _on_rank_zero(file.claim.finish, comm, file.path)
    file.placement = replace(file.placement, path=file.path)


def _on_rank_zero(work: Callable[[], T], comm: Communicator, path: str) -> T:
    """Return what `work` returns on rank 0, on every rank; if it fails, raise on every rank."""

    def on_this_rank() -> T | None:
        return work() if comm.rank == 0 else None

    # h5py raises many kinds of errors
    result = on_all_ranks(on_this_rank, comm, failing=_failing(path), catch=Exception)
    return comm.gather(result)[0]


def _failing(path: str) -> str:
    return f"cannot use the snapshot file {path}"


# -- a file that exists -------------------------------------------------------------------------


def _existing(
    name: str, wanted: Structure, *, overwrite: bool = False, empty: bool = False
) -> _Found | None:
    """Return an existing file of the same problem; None for one of another, with `overwrite`.

    Whatever it holds is made invalid if it is to be `empty` and has enough rows.

    Raises
    ------
    SnapshotFileError
        It is not a snapshot file of the same problem, or not of this user.
    """
    advice = "give another file name, or remove it yourself"
    try:
        descriptor = open_regular(name, writable=True)
        try:
            found, starts = examine(descriptor, name)
            reason = difference(wanted, found)
            if reason is not None and not overwrite:
                advice = "give another file name, or overwrite=True to replace it"
                raise SnapshotFileError(f"{name} {reason}")
            require_own(descriptor, name)
            if reason is not None:
                return None
            existing = _Found(name, found.rows, found.pieces, starts)
            if empty and existing.serves(wanted):
                _invalidate(descriptor, found, starts)
        finally:
            os.close(descriptor)
    except SnapshotFileError as refused:
        raise SnapshotFileError(f"{refused}, so it is left as it is: {advice}") from refused
    return existing


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
