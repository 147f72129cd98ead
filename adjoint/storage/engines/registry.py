"""Opening a snapshot file with an engine on it: the only way from the driver to h5py and to files.

Loaded where there is a file, and not before: importing h5py under mpirun may initialise MPI.
"""

import importlib
import os
from collections.abc import Callable
from functools import partial

from adjoint.errors import ArgumentError, SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.engines.base import Engine
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.journal_layout import JournalLayout
from adjoint.storage.placement import Placement
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.store import FileStore

__all__ = [
    "ENGINES",
    "EngineFactory",
    "engine_names",
    "open_engine",
    "open_store",
    "require_engine",
    "rows_at",
]

ENGINES = ("mpi", "direct", "thread")
"""The engines by name, in the order in which to measure them."""

EngineFactory = Callable[[Communicator, Placement], Engine]
"""Opens an engine of another kind on this rank's part of a file. Called by all ranks."""


def engine_names(comm: Communicator) -> tuple[str, ...]:
    """Return the engines that can be used with `comm`, in the order in which to measure them."""
    return tuple(name for name in ENGINES if comm.mpi is not None or name != "mpi")


def require_engine(engine: object, comm: Communicator) -> None:
    """Raise `ArgumentError` unless `engine=` is None, callable, or a name usable with `comm`."""
    if engine is None or callable(engine) or engine in engine_names(comm):
        return
    if engine == "mpi":
        raise ArgumentError('engine="mpi" needs comm=, an MPI communicator')
    names = ", ".join(f'"{name}"' for name in engine_names(comm))
    raise ArgumentError(
        f"engine={engine!r}: choose one of {names}, or pass a function of (comm, placement) that "
        "returns an engine"
    )


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
    engine: str | EngineFactory | None,
    journal: JournalLayout | None = None,
    accepted_steps: int = 0,
    resume: bool = False,
) -> FileStore:
    """Return a store of so many states at `path`, or in a temporary file if that is a folder.

    Collective. `engine` is as in `open_engine`. A file that is kept has a journal, if its layout is
    given; to resume, it is left as it is.

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
        return FileStore(file, open_engine(file.placement, comm, engine))
    except BaseException:
        file.close()
        raise


def open_engine(
    placement: Placement, comm: Communicator, wanted: str | EngineFactory | None
) -> Engine:
    """Return an engine on this rank's part of a file. Collective.

    `wanted` is "mpi" (nonblocking MPI I/O), "thread" (a transfer thread), "direct" (one that passes
    the page cache by, where it can), or what opens an engine of another kind. None is the first
    where there are ranks and the file system can promise space, without which a full disk would
    hang MPI; else the second.

    Raises
    ------
    SnapshotFileError
        On every rank: the engine cannot be used on that file.
    """
    if callable(wanted):
        return _opened_alike(placement, comm, partial(wanted, comm, placement))
    if wanted is None:
        wanted = "mpi" if comm.mpi is not None and placement.reservable else "thread"
    if wanted != "mpi":
        open_thread = partial(ThreadEngine, placement, direct=wanted == "direct")
        return _opened_alike(placement, comm, open_thread)
    return importlib.import_module("adjoint.storage.engines.mpi").MpiEngine(comm, placement)


def _is_folder(path: str | os.PathLike[str], comm: Communicator) -> bool:
    return comm.gather(os.path.isdir(path))[0]


def _opened_alike(
    placement: Placement, comm: Communicator, open_own: Callable[[], Engine]
) -> Engine:
    """Open this rank's engine; if any rank cannot, raise on all."""
    engine, error = None, None
    try:
        engine = open_own()
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
