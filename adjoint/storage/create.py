"""What HDF5 writes of a new snapshot file: its structure, which never changes afterwards.

Datasets have their places from the beginning and are never filled, so a file of a terabyte takes no
disk space until its rows are used. The library writes to memory, and one process copies that to the
file: HDF5 1.10 ends the process where it cannot write, and a second process that opens the file
with it is not needed, also where h5py is built with MPI.
"""

import fcntl
import io
import os
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import DTypeLike

from adjoint.storage.engines.worker import Worker
from adjoint.storage.file_format import FORMAT_VERSION, Structure
from adjoint.storage.file_io import write_fully
from adjoint.storage.state_layout import LARGEST_ALIGNMENT, PAGE_BYTES

__all__ = ["is_reservable", "write_structure"]


def is_reservable(descriptor: int) -> bool:
    """Return whether the file system of an open file can reserve space.

    Where it cannot, the GNU C library silently writes zeros instead; but not through a descriptor
    that appends: there it refuses (EBADF).
    """
    if not hasattr(os, "posix_fallocate"):
        return False
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
        os.posix_fallocate(descriptor, 0, 1)
    except OSError:
        return False
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return True


def write_structure(descriptor: int, structure: Structure) -> dict[str, int]:
    """Write the structure to an empty file; return the byte at which each dataset begins.

    Raises
    ------
    OSError
        It could not be written.
    """
    written = _Written()
    # In another thread: there no handler of a signal runs. An exception of one would crash HDF5,
    # which has called back.
    worker = Worker("adjoint-create")
    try:
        starts = worker.submit(_write_to, written, structure).result()
    finally:
        worker.close(wait=True)
    os.ftruncate(descriptor, written.length)
    for offset, data in written.pieces:
        write_fully(descriptor, memoryview(data), offset)
    return starts


class _Written(io.RawIOBase):
    """A file in memory that keeps, in order, what is written and at which byte."""

    def __init__(self) -> None:
        self.pieces = list[tuple[int, bytes]]()
        self.length = 0
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (self.length if whence == os.SEEK_END else 0)
        return self._position

    def write(self, data: Any) -> int:
        self.pieces.append((self._position, bytes(data)))
        self.length = max(self.length, self._position + len(data))
        return len(data)

    def readinto(self, buffer: Any) -> int:
        del buffer
        raise io.UnsupportedOperation("HDF5 reads nothing of what it has just written")

    def truncate(self, size: int | None = None) -> int:
        assert size is not None
        self.length = size
        return size

    def flush(self) -> None:
        pass


def _write_to(written: _Written, structure: Structure) -> dict[str, int]:
    large = structure.row_bytes >= LARGEST_ALIGNMENT
    with h5py.File(
        written,
        "w",
        alignment_threshold=PAGE_BYTES,
        alignment_interval=LARGEST_ALIGNMENT if large else PAGE_BYTES,
    ) as file:
        datasets = {
            name: _allocated(file, name, dtype, shape)
            for name, (dtype, shape) in structure.datasets().items()
        }
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["layout_checksum"] = np.uint64(structure.checksum)
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
