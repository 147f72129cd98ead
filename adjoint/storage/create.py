"""A new snapshot file on disk: its name claimed, its space checked, its structure written by HDF5.

A new file is created exclusively, for its owner only; nothing that exists is overwritten. Its
datasets have their places from the beginning and are never filled, so a file of a terabyte takes no
disk space until its rows are used.
"""

import errno
import os
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import DTypeLike

from adjoint.errors import SnapshotFileError
from adjoint.storage.file_format import FORMAT_VERSION, Structure
from adjoint.storage.file_io import write_fully
from adjoint.storage.state_layout import LARGEST_ALIGNMENT, PAGE_BYTES

__all__ = ["can_write_together", "claim", "is_reservable", "remove", "write_structure"]


def claim(path: str, needed_bytes: int, length: int) -> bool:
    """Create a file of this name, for its owner only; return False if the name is taken.

    It has the given `length`, and is sparse except for its first `needed_bytes`.

    Raises
    ------
    SnapshotFileError
        It cannot be created, or not with that length; then there is no such file afterwards.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    except OSError as failure:
        folder = os.path.dirname(path)
        advice = (
            f"there is no folder {folder}: create it, or give a path in another"
            if failure.errno == errno.ENOENT
            else f"{failure.strerror}: give a path in a folder that you can write to"
        )
        raise SnapshotFileError(f"cannot create the snapshot file {path}: {advice}") from failure
    try:
        # A full disk must show here: HDF5 1.10 on MPI crashes some time after it could not set the
        # end of a file.
        write_fully(descriptor, memoryview(bytes(needed_bytes)), 0)
        os.ftruncate(descriptor, length)
    except OSError as failure:
        os.unlink(path)
        raise SnapshotFileError(
            f"cannot create the snapshot file {path}: {failure.strerror}"
        ) from failure
    finally:
        os.close(descriptor)
    return True


def is_reservable(path: str) -> bool:
    """Return whether the file system can reserve space.

    Where it cannot, the GNU C library silently writes zeros instead; but not through a descriptor
    that appends: there it refuses (EBADF).
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
    """Remove a file, if it exists."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def can_write_together() -> bool:
    """Return whether h5py is built with MPI, so that all ranks can create a file together."""
    return bool(h5py.get_config().mpi)


def write_structure(
    path: str, structure: Structure, mpi: Any, *, writes_layout: bool
) -> dict[str, int]:
    """Write the structure to a claimed file; return the byte at which each dataset begins.

    With `mpi`, an mpi4py communicator, all its ranks do so together; otherwise one process does.
    """
    access: dict[str, Any] = {} if mpi is None else {"driver": "mpio", "comm": mpi}
    large = structure.row_bytes >= LARGEST_ALIGNMENT
    with h5py.File(
        path,
        "w",
        # Some parallel file systems have no locks, and the file is not kept open.
        locking=False,
        alignment_threshold=PAGE_BYTES,
        alignment_interval=LARGEST_ALIGNMENT if large else PAGE_BYTES,
        **access,
    ) as file:
        datasets = {
            name: _allocated(file, name, dtype, shape)
            for name, (dtype, shape) in structure.datasets().items()
        }
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["layout_checksum"] = np.uint64(structure.checksum)
        if writes_layout:
            datasets["layout"][...] = np.frombuffer(structure.described(), np.uint8)
        return {name: dataset.id.get_offset() for name, dataset in datasets.items()}


def _allocated(file: h5py.File, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> Any:
    """Create a dataset that is allocated now and never filled: it reads as zero."""
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_layout(h5d.CONTIGUOUS)
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    kind = h5t.py_create(np.dtype(dtype), logical=True)
    space = h5s.create_simple(shape)
    return h5py.Dataset(h5d.create(file.id, name.encode(), kind, space, dcpl=creation))
