"""A lock on a snapshot file: two live runs never use the same one.

Rank 0 of a run holds an advisory lock (``flock``) on ``run.h5.lock``, beside the file, whose text
names the run for those who are refused. The operating system releases the lock when the process
ends in whatever way, so what a killed run leaves behind never stops the next. A child made by
``fork`` gives up its copy of the lock at once, one made by ``exec`` never has it.

Only the one who holds the lock removes the file, and whoever has locked it looks whether it is
still there under its name: so two runs never hold locks on two files of one name.
"""

import errno
import fcntl
import json
import logging
import os
import stat
import weakref
from contextlib import suppress
from typing import Any

from adjoint.errors import SnapshotFileError
from adjoint.storage.file_io import DESCRIPTOR, close_once, write_fully

__all__ = ["FileLock", "require_own"]

LOG = logging.getLogger("adjoint")

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of a file system without locks."""

NOTE_BYTES = 1024

MAX_QUOTED = 80
"""Characters of a note's field that a message quotes."""

MAX_ATTEMPTS = 100
"""How often the lock file may be removed by its holder between opening and locking it."""

JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")

_all: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


class FileLock:
    """The lock of the snapshot file at `path`, until `release` or the end of this process.

    Raises
    ------
    SnapshotFileError
        Another run holds it: the message says which. Or there can be no lock file, or there is one
        that is not ours.
    """

    def __init__(self, path: str) -> None:
        self._name = f"{path}.lock"
        self._held: dict[str, int] = {}
        """The descriptor that is locked, from before it is until after it is closed."""
        weakref.finalize(self, _release, self._held, self._name)
        _all.add(self)
        try:
            self._held[DESCRIPTOR] = descriptor = _locked(self._name, path)
            left = _note(descriptor, self._name)
            self.making_was_cut_short = bool(left.get("making"))
            """Whether the run that held it last was killed while it made the file."""
            self.note(making=self.making_was_cut_short)
        except BaseException:
            close_once(self._held)
            raise

    def note(self, *, making: bool) -> None:
        """Write which run this is, and whether it is making the file. Raises `OSError`."""
        jobs = [os.environ[name] for name in JOB_VARIABLES if name in os.environ]
        run = {
            "host": os.uname().nodename,
            "process": os.getpid(),
            "job": (jobs or [""])[0][:MAX_QUOTED],
            "making": making,
        }
        # Always of the same length, so that nothing of an older note is left when a kill comes.
        text = json.dumps(run).encode().ljust(NOTE_BYTES)
        write_fully(self._held[DESCRIPTOR], memoryview(text), 0)

    def release(self) -> None:
        """Remove the lock file, and with it the lock. Idempotent."""
        _release(self._held, self._name)

    def leave_to_parent(self) -> None:
        """Close this process's copy of the lock; it stays that of the process that made it."""
        close_once(self._held)


def require_own(descriptor: int, name: str) -> None:
    """Raise `SnapshotFileError` unless a file is this user's, and nobody else may use it."""
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        raise SnapshotFileError(f"{name} belongs to another user, number {found.st_uid}")
    if found.st_mode & 0o077:
        raise SnapshotFileError(
            f"{name} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}): if you trust "
            f'what is in it, "chmod 600" it'
        )


def _locked(name: str, path: str) -> int:
    """Return a locked descriptor of the file called `name`."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    for _ in range(MAX_ATTEMPTS):
        descriptor = os.open(name, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SnapshotFileError(f"{name} is not a regular file: remove it")
            require_own(descriptor, name)
            _lock(descriptor, name, path)
            if _is_at(descriptor, name):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise SnapshotFileError(f"{name} is removed by other runs again and again: try again later")


def _lock(descriptor: int, name: str, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = "another run"
        with suppress(SnapshotFileError):  # which is just writing it
            holder = _described(_note(descriptor, name))
        raise SnapshotFileError(
            f"{path} is in use by {holder}: wait until that has ended, or give another file name"
        ) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        LOG.warning(
            "the file system of %s has no locks: two runs on it, on one node or between nodes, are "
            "not detected",
            path,
        )


def _is_at(descriptor: int, name: str) -> bool:
    """Return whether a file has a name, and has not been removed since it was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(name))
    except FileNotFoundError:
        return False


def _note(descriptor: int, name: str) -> dict[str, Any]:
    """Return what a lock file says of the run that wrote it; nothing if it is empty."""
    text = os.pread(descriptor, NOTE_BYTES + 1, 0).strip(b"\0")
    try:
        note = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        note = None
    if not isinstance(note, dict) or (note and "process" not in note):
        raise SnapshotFileError(f"{name} is not a lock of a snapshot file: give another file name")
    return note


def _described(note: dict[str, Any]) -> str:
    host, process, job = (
        ascii(note.get(key, ""))[:MAX_QUOTED] for key in ("host", "process", "job")
    )
    where = f"process {process} on host {host}"
    if (process, host) == (ascii(os.getpid()), ascii(os.uname().nodename)):
        where = "this process, which has not closed it"
    return where if job == "''" else f"{where}, job {job}"


def _release(held: dict[str, int], name: str) -> None:
    """Remove the lock file and close its descriptor, which are there until that has been done."""
    if DESCRIPTOR not in held:
        return
    try:
        if _is_at(held[DESCRIPTOR], name):
            os.unlink(name)
    except OSError:
        LOG.warning("%s could not be removed: it means nothing to later runs", name)
    close_once(held)


def _leave_to_parent() -> None:
    for lock in list(_all):
        lock.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
