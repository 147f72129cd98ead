"""Making a snapshot file so that no kill leaves half a file, nor a temporary one, under its name.

A file that is kept is locked, made as ``run.h5.new``, and renamed once every rank has it open. The
lock file says meanwhile that one is being made: so the next run knows what a killed one has left,
and removes it. A temporary file loses its only name when every rank has it open. The operating
system then frees it when the last descriptor is closed, however the process ends.
"""

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeVar

from adjoint.errors import SnapshotFileError
from adjoint.storage.file_io import DESCRIPTOR, close_once, hold
from adjoint.storage.lock import FileLock

__all__ = ["Claim"]

T = TypeVar("T")


class Claim:
    """What rank 0 holds of the file called `name`: its lock, and a new file until it has its name.

    On the other ranks nothing is held.
    """

    def __init__(self, name: str, *, is_temporary: bool) -> None:
        self.name = name
        self.path = name if is_temporary else f"{name}.new"
        """The name of a new file until `finish`."""
        self._is_temporary = is_temporary
        self._lock: FileLock | None = None
        self._is_new = self._replaces = False

    def take(self) -> None:
        """Lock the file, unless it is temporary; remove what a run was making when it was killed.

        Raises
        ------
        SnapshotFileError
            Another run holds the lock, or the folder is not one for files.
        """
        if self._is_temporary:
            return
        with _creating(self.name):
            self._lock = FileLock(self.name)
            if self._lock.making_was_cut_short:
                with suppress(FileNotFoundError):
                    os.unlink(self.path)
                self._lock.note(making=False)

    def make(self, write: Callable[[int], T], *, replaces: bool) -> T:
        """Make a new file at `path`; return what `write` returns, which gets its descriptor.

        Parameters
        ----------
        write
            Gives the file its length and its first content. Raises `OSError`.
        replaces
            Whether there is a file which it replaces when it gets its name.

        Raises
        ------
        SnapshotFileError
            It cannot be made.
        """
        self._replaces = replaces
        with _creating(self.name):
            if self._lock is not None:
                if os.path.lexists(self.path):
                    taken = f"{self.path}, its name while it is made, is taken: remove that file"
                    raise FileExistsError(errno.EEXIST, taken)
                self._lock.note(making=True)
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            self._is_new = True  # before it is, so that a signal that comes between leaves no file
            held: dict[str, int] = {}
            try:
                hold(held, os.open, self.path, flags, 0o600)  # for its owner only
                return write(held[DESCRIPTOR])
            except FileExistsError:
                self._is_new = bool(held)  # else another program's
                raise
            finally:
                close_once(held)

    def finish(self) -> None:
        """Give a new file its name, or none if it is temporary. Raises `OSError`."""
        if not self._is_new:
            return
        if self._is_temporary:
            with suppress(OSError):  # some file systems keep open files: then `close` removes it
                os.unlink(self.path)
                self._is_new = False
            return
        _sync(self.path)
        if not self._replaces and os.path.lexists(self.name):
            raise FileExistsError(errno.EEXIST, "another program has made a file of that name")
        os.rename(self.path, self.name)
        self._is_new = False
        with suppress(OSError):  # some file systems cannot sync a folder
            _sync(os.path.dirname(self.name))
        if self._lock is not None:
            self._lock.note(making=False)

    def close(self) -> None:
        """Remove a new file that has not got its name, and release the lock. Idempotent."""
        if self._is_new:
            with suppress(OSError):
                os.unlink(self.path)
            self._is_new = False
        if self._lock is not None:
            self._lock.release()


@contextmanager
def _creating(name: str) -> Generator[None, None, None]:
    """Say of an error of the operating system what to do."""
    try:
        yield
    except SnapshotFileError:
        raise
    except OSError as failure:
        folder = os.path.dirname(name)
        reason = failure.strerror or str(failure)
        if failure.errno == errno.ENOENT:
            reason = f"there is no folder {folder}: create it, or give a path in another"
        elif failure.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = f"{reason}: give a path in a folder that you can write to"
        raise SnapshotFileError(f"cannot create the snapshot file {name}: {reason}") from failure


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
