"""The name of a file, claimed so that nothing of anybody else's is ever overwritten.

A new file is made exclusively, for its owner only. What is there already is opened only if it is a
regular file; a symbolic link is not followed, whatever it points to.
"""

import errno
import os
import stat

from adjoint.errors import SnapshotFileError

__all__ = ["claim", "open_regular", "refused", "remove", "reservable"]


def claim(path: str, needed_bytes: int, length: int) -> bool:
    """Make a file of this name, for its owner only; return False if the name is taken.

    It is of the given `length`, and sparse but for the `needed_bytes` at its beginning.

    Raises
    ------
    SnapshotFileError
        It cannot be made, or not be as long; then there is no such file afterwards.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    except OSError as failure:
        folder = os.path.dirname(path)
        advice = (
            f"there is no folder {folder}: make it, or give a path in another"
            if failure.errno == errno.ENOENT
            else f"{failure.strerror}: give a path in a folder that you can write to"
        )
        raise SnapshotFileError(f"cannot make the snapshot file {path}: {advice}") from failure
    try:
        # Now, because the HDF5 library may not survive finding out, above all on MPI: HDF5 1.10
        # crashes some time after a file whose end it could not set.
        _fill(descriptor, needed_bytes)
        os.ftruncate(descriptor, length)
    except OSError as failure:
        os.unlink(path)
        raise SnapshotFileError(
            f"cannot make the snapshot file {path}: {failure.strerror}"
        ) from failure
    finally:
        os.close(descriptor)
    return True


def _fill(descriptor: int, count: int) -> None:
    zeros = memoryview(bytes(count))
    while zeros:
        zeros = zeros[os.write(descriptor, zeros) :]


def open_regular(path: str) -> int:
    """Return a descriptor of an existing file.

    Raises
    ------
    SnapshotFileError
        It is not a file to be trusted with a state, or cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as failure:
        what = "is a symbolic link" if failure.errno == errno.ELOOP else str(failure.strerror)
        raise refused(path, what) from failure
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refused(path, "is not a regular file")
    return descriptor


def refused(path: str, what: str) -> SnapshotFileError:
    """Return the error for something at `path` that must not be overwritten, and why."""
    return SnapshotFileError(
        f"{path} {what}: it is left as it is. Give another file name, or remove it yourself"
    )


def reservable(path: str) -> bool:
    """Whether the file system can promise space.

    Where it cannot, the GNU C library would write zeros instead, without saying so; but not through
    a descriptor that appends: then it refuses (EBADF).
    """
    if not hasattr(os, "posix_fallocate"):
        return False
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.posix_fallocate(descriptor, 0, 1)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
