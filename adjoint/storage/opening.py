"""Opening a snapshot file with an engine on it: the only way from the driver to h5py and to files.

Loaded where there is a file, and not before: importing h5py under mpirun may initialise MPI.
"""

import importlib
import os

from adjoint.comm import Communicator
from adjoint.errors import SnapshotFileError
from adjoint.storage.engine import Engine
from adjoint.storage.file_store import FileStore
from adjoint.storage.journal_layout import JournalLayout
from adjoint.storage.layout import StateLayout
from adjoint.storage.placement import Placement
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.thread_engine import ThreadEngine

__all__ = ["open_store", "rows_at"]


def rows_at(
    path: str | os.PathLike[str],
    comm: Communicator,
    layout: StateLayout,
    fingerprint: bytes,
    *,
    journal: JournalLayout,
    accepted_steps: int,
) -> int | None:
    """Return how many rows the file at `path` has; None if there is none, or a folder. Collective.

    Raises
    ------
    SnapshotFileError
        On every rank: what is there is not ours, or is another problem's.
    """
    if _is_folder(path, comm):
        return None
    return SnapshotFile.rows_at(
        path, comm, layout, fingerprint, journal=journal, accepted_steps=accepted_steps
    )


def open_store(
    path: str | os.PathLike[str],
    comm: Communicator,
    layout: StateLayout,
    rows: int,
    fingerprint: bytes,
    *,
    engine: str | None,
    journal: JournalLayout | None = None,
    accepted_steps: int = 0,
    resume: bool = False,
) -> FileStore:
    """Return a store of so many states at `path`, or in a temporary file if that is a folder.

    Collective. `engine` is "mpi" or "thread"; None is the first where there are ranks and the file
    system can promise space, without which a full disk would hang MPI. A file that is kept has a
    journal, if its layout is given; to resume, it is left as it is.

    Raises
    ------
    SnapshotFileError
        On every rank: the file cannot be made or is not ours, or the engine cannot be used on it.
    """
    if _is_folder(path, comm):
        file = SnapshotFile.temporary(path, comm, layout, rows, fingerprint)
    else:
        file = SnapshotFile.create(
            path,
            comm,
            layout,
            rows,
            fingerprint,
            journal=journal,
            accepted_steps=accepted_steps,
            resume=resume,
        )
    try:
        return FileStore(file, _engine(file, comm, engine))
    except BaseException:
        file.close()
        raise


def _is_folder(path: str | os.PathLike[str], comm: Communicator) -> bool:
    return comm.gather(os.path.isdir(path))[0]


def _engine(file: SnapshotFile, comm: Communicator, wanted: str | None) -> Engine:
    placement = file.placement
    if wanted == "thread" or comm.mpi is None:
        return _thread_engine(placement, comm)
    if not placement.reservable:
        if wanted == "mpi":
            raise SnapshotFileError(
                f"{placement.path} is where space cannot be promised, and there nonblocking "
                'MPI I/O may hang when the disk is full: use engine="thread"'
            )
        return _thread_engine(placement, comm)
    return importlib.import_module("adjoint.storage.mpi_engine").MpiEngine(comm, placement)


def _thread_engine(placement: Placement, comm: Communicator) -> Engine:
    engine, error = None, None
    try:
        engine = ThreadEngine(placement)
    except OSError as failure:
        error = SnapshotFileError(f"cannot open the snapshot file {placement.path}: {failure}")
    try:
        comm.agree(error)
    except SnapshotFileError:
        if engine is not None:
            engine.close()
        raise
    assert engine is not None
    return engine
