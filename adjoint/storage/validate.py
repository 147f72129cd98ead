"""A file that may be anybody's, looked at without trusting a word of it.

`examine` says what a snapshot file consists of, and refuses whatever is not one. It reads a few
kilobytes, whatever the file claims to hold: every size is compared with the length that the file
really has before anything of that size is allocated, no link of any kind is followed, neither on
disk nor within HDF5, and only contiguous datasets of the documented types are taken, stored in this
very file.

The HDF5 library is given an open descriptor, not a name: what was checked is what is read.
"""

import errno
import math
import os
import stat
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5l, h5o, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]

from adjoint.errors import SnapshotFileError
from adjoint.storage.file_format import FORMAT_VERSION, INDEX_DTYPE
from adjoint.storage.placement import ENTRY_BYTES

__all__ = ["MOST_DESCRIBED_BYTES", "Extent", "Found", "examine", "open_to_read"]

MOST_DESCRIBED_BYTES = 1 << 26
"""The longest description of layouts that is read: that of some hundred thousand ranks."""

MOST_RANKS = 1 << 20

SIGNATURE = b"\x89HDF\r\n\x1a\n"

NEEDED = ("snapshots", "index", "layout")

OPTIONAL = ("journal", "gradients", "steps")

DTYPES = {
    "snapshots": np.dtype(np.uint8),
    "index": INDEX_DTYPE,
    "layout": np.dtype(np.uint8),
    "journal": np.dtype(np.uint8),
    "gradients": np.dtype(np.uint8),
    "steps": np.dtype("<f8"),
}

DIMENSIONS = {"snapshots": 2, "index": 2, "layout": 1, "journal": 2, "gradients": 1, "steps": 2}


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a dataset lies in the file."""

    start: int
    """Its first byte."""
    nbytes: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.start + self.nbytes


@dataclass(frozen=True, slots=True)
class Found:
    """What a snapshot file consists of. Every extent is within the file; no two overlap."""

    path: str
    ranks: int
    """How many ranks it says it was made on."""
    fingerprint: str
    described: bytes
    """What ``/layout`` holds, as it is: `adjoint.storage.description` makes sense of it."""
    extents: dict[str, Extent]
    """By the name of the dataset."""

    @property
    def rows(self) -> int:
        """How many states it has room for."""
        return self.extents["snapshots"].shape[0]

    @property
    def row_bytes(self) -> int:
        """What one state of all ranks takes."""
        return self.extents["snapshots"].shape[1]

    @property
    def index_row_bytes(self) -> int:
        """From one row's index entries to the next row's."""
        return self.extents["index"].shape[1] * ENTRY_BYTES


def open_to_read(path: str | os.PathLike[str]) -> int:
    """Return a descriptor of an existing file, for reading only. Never blocks.

    Raises
    ------
    SnapshotFileError
        It is a symbolic link, is not a regular file, or cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as failure:
        number = getattr(failure, "errno", None)
        what = "is a symbolic link: give the file's own name"
        if number != errno.ELOOP:
            what = f"cannot be opened: {getattr(failure, 'strerror', None) or failure}"
        raise SnapshotFileError(f"{os.fspath(path)} {what}") from failure
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SnapshotFileError(f"{os.fspath(path)} is not a regular file")
    return descriptor


def examine(descriptor: int, path: str) -> Found:
    """Return what a snapshot file consists of. The descriptor stays the caller's.

    Raises
    ------
    SnapshotFileError
        It is not a snapshot file of this format. The message begins with `path`.
    """
    length = os.fstat(descriptor).st_size
    try:
        if os.pread(descriptor, len(SIGNATURE), 0) != SIGNATURE:
            raise _RefusedError("is not an HDF5 file")
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as stream:
            return _examined(stream, descriptor, path, length)
    except _RefusedError as reason:
        raise SnapshotFileError(f"{path} {reason}") from None
    except OSError as failure:
        raise SnapshotFileError(f"{path} cannot be read ({failure})") from failure


class _RefusedError(Exception):
    """Why a file is not ours; the message goes on after its name."""


def _examined(stream: Any, descriptor: int, path: str, length: int) -> Found:
    try:
        file = h5py.File(stream, "r")
    except Exception as failure:  # the library's complaints are of many kinds
        raise _RefusedError(f"cannot be opened as HDF5 ({failure})") from failure
    with file:
        try:
            version, ranks, fingerprint = _attributes(file.id)
            if version != FORMAT_VERSION:
                raise _RefusedError(f"has format version {version}, not {FORMAT_VERSION}")
            names = [*NEEDED, *(name for name in OPTIONAL if file.id.links.exists(name.encode()))]
            extents = {name: _extent(file.id, name, length) for name in names}
        except _RefusedError:
            raise
        except Exception as failure:
            raise _RefusedError(f"is damaged: HDF5 says: {failure}") from failure
    _require_consistent(extents)
    layout = extents["layout"]
    described = os.pread(descriptor, layout.nbytes, layout.start)
    return Found(path, ranks, fingerprint, described, extents)


def _attributes(file: Any) -> tuple[int, int, str]:
    """Return format version, number of ranks and fingerprint."""
    version = _attribute(file, "format_version", h5t.INTEGER, 8)
    ranks = _attribute(file, "communicator_size", h5t.INTEGER, 8)
    fingerprint = _attribute(file, "fingerprint", h5t.STRING, 64)
    if not 1 <= int(ranks) <= MOST_RANKS:
        raise _RefusedError(f"says that it was made on {ranks} ranks")
    return int(version), int(ranks), bytes(fingerprint).decode("ascii", "replace")


def _attribute(file: Any, name: str, kind: int, most_bytes: int) -> Any:
    if not h5a.exists(file, name.encode()):
        raise _not_ours(f"it has no attribute {name!r}")
    attribute = h5a.open(file, name.encode())
    type_ = attribute.get_type()
    is_plain = type_.get_class() == kind and 1 <= type_.get_size() <= most_bytes
    # A string of variable length is elsewhere in the file, and as long as it likes.
    is_fixed = kind != h5t.STRING or not type_.is_variable_str()
    if not is_plain or not is_fixed or attribute.get_space().get_simple_extent_type() != h5s.SCALAR:
        raise _not_ours(f"its attribute {name!r} is of another type")
    value = np.empty((), type_.dtype)
    attribute.read(value)
    return value[()]


def _extent(file: Any, name: str, length: int) -> Extent:
    """Return where a dataset lies, once it is certain that it is what its name says."""
    encoded = name.encode()
    if not file.links.exists(encoded):
        raise _not_ours(f"it has no dataset {name!r}")
    if file.links.get_info(encoded).type != h5l.TYPE_HARD:
        raise _RefusedError(f"has a link to something else in place of {name!r}, not followed")
    if h5o.get_info(file, encoded).type != h5o.TYPE_DATASET:
        raise _not_ours(f"its {name!r} is not a dataset")
    dataset = h5d.open(file, encoded)
    creation = dataset.get_create_plist()
    if creation.get_layout() != h5d.CONTIGUOUS or creation.get_external_count():
        raise _RefusedError(f"has a dataset {name!r} that is not one piece within this file")
    if not dataset.get_type().equal(h5t.py_create(DTYPES[name], logical=True)):
        raise _not_ours(f"its dataset {name!r} is of another type")
    space = dataset.get_space()
    if space.get_simple_extent_ndims() != DIMENSIONS[name]:
        raise _not_ours(f"its dataset {name!r} has another number of dimensions")
    shape = tuple(map(int, space.get_simple_extent_dims()))
    start = dataset.get_offset()
    extent = Extent(start or 0, DTYPES[name].itemsize * math.prod(shape), shape)
    if start is None or extent.end > length:
        raise _RefusedError(
            f"is damaged: its dataset {name!r}, of shape {shape}, would end at byte {extent.end}, "
            f"but the file has {length}"
        )
    return extent


def _require_consistent(extents: dict[str, Extent]) -> None:
    if extents["layout"].nbytes > MOST_DESCRIBED_BYTES:
        raise _RefusedError(
            f"describes its states in {extents['layout'].nbytes} bytes: more than "
            f"{MOST_DESCRIBED_BYTES} are not read"
        )
    rows, ranks = extents["index"].shape
    if rows != extents["snapshots"].shape[0] or not 1 <= ranks <= MOST_RANKS:
        raise _RefusedError(
            f"is damaged: it has {extents['snapshots'].shape[0]} rows, and an index of "
            f"{rows} rows by {ranks} ranks"
        )
    ordered = sorted((e.start, e.end, name) for name, e in extents.items() if e.nbytes)
    for (_, end, name), (start, _, following) in pairwise(ordered):
        if start < end:
            raise _RefusedError(f"is damaged: its datasets {name!r} and {following!r} overlap")


def _not_ours(why: str) -> _RefusedError:
    return _RefusedError(f"is an HDF5 file, but not a snapshot file: {why}")
