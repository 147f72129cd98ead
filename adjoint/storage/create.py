"""Making a snapshot file: what the HDF5 library is needed for, and all that it does.

The datasets have their places in the file from the beginning, and are never filled: so a file of a
terabyte costs nothing until rows are used, and its structure never changes afterwards.
"""

from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import DTypeLike

from adjoint.storage.file_format import FORMAT_VERSION, Structure
from adjoint.storage.state_layout import LARGEST_ALIGNMENT, PAGE_BYTES

__all__ = ["can_write_together", "write_structure"]


def can_write_together() -> bool:
    """Return whether h5py is built with MPI, so that all ranks can make a file together."""
    return bool(h5py.get_config().mpi)


def write_structure(
    path: str, structure: Structure, mpi: Any, *, writes_layout: bool
) -> dict[str, int]:
    """Write the structure to a claimed, empty file; return the bytes at which its datasets begin.

    With `mpi`, an mpi4py communicator, all its ranks do so together; else one process does.
    """
    access: dict[str, Any] = {} if mpi is None else {"driver": "mpio", "comm": mpi}
    ranks = structure.ranks
    described = np.frombuffer(structure.described(), np.uint8)
    large = structure.row_bytes >= LARGEST_ALIGNMENT
    with h5py.File(
        path,
        "w",
        # Some parallel file systems have no locks, and nothing is left open to be locked against.
        locking=False,
        alignment_threshold=PAGE_BYTES,
        alignment_interval=LARGEST_ALIGNMENT if large else PAGE_BYTES,
        **access,
    ) as file:
        made = {
            name: _allocated(file, name, dtype, shape)
            for name, (dtype, shape) in structure.datasets().items()
        }
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["communicator_size"] = ranks
        file.attrs["fingerprint"] = np.bytes_(structure.fingerprint.encode())
        if writes_layout:
            made["layout"][...] = described
        return {name: dataset.id.get_offset() for name, dataset in made.items()}


def _allocated(file: h5py.File, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> Any:
    """Make a dataset that has its place in the file now, and is never filled: it reads as zero."""
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_layout(h5d.CONTIGUOUS)
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    kind = h5t.py_create(np.dtype(dtype), logical=True)
    space = h5s.create_simple(shape)
    return h5py.Dataset(h5d.create(file.id, name.encode(), kind, space, dcpl=creation))
