"""Whether a file is a snapshot file: it is compared with the format before anything in it is used.

`examine` rebuilds the `Structure` that ``/layout`` describes, and refuses the file unless it has
exactly the datasets of that structure, each one contiguous piece within the file: not a link, not
chunked, virtual or external. It reads a few kilobytes and ``/layout``.

The HDF5 library is given the open descriptor, not a name: what was checked is what is read.
"""

import errno
import json
import math
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import h5py
import numpy as np
from h5py import h5l  # pyright: ignore[reportAttributeAccessIssue]

from adjoint.errors import SnapshotFileError
from adjoint.storage.checksums import checksum
from adjoint.storage.file_format import FORMAT_VERSION, JournalLayout, RowField, Structure
from adjoint.storage.state_layout import StateLayout

__all__ = ["examine", "open_regular"]

MAX_LAYOUT_BYTES = 1 << 26
"""Longest ``/layout`` that is read: that of some hundred thousand ranks with different layouts."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"

MALFORMED = ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
"""Errors raised by code that expects ``/layout`` to be well formed."""

NEEDED = ("snapshots", "index", "layout")
OPTIONAL = ("journal", "gradients", "steps")

T = TypeVar("T")


def open_regular(path: str | os.PathLike[str], *, writable: bool = False) -> int:
    """Return a descriptor of an existing file. Never blocks.

    Raises
    ------
    SnapshotFileError
        It is a symbolic link, is not a regular file, or cannot be opened. The message begins with
        `path`.
    """
    access = os.O_RDWR if writable else os.O_RDONLY
    flags = access | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    name = os.fspath(path)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as failure:
        if getattr(failure, "errno", None) == errno.ELOOP:
            raise SnapshotFileError(
                f"{name} is a symbolic link: give the file's own name"
            ) from None
        reason = getattr(failure, "strerror", None) or failure
        raise SnapshotFileError(f"{name} cannot be opened: {reason}") from failure
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SnapshotFileError(f"{name} is not a regular file")
    return descriptor


def examine(descriptor: int, path: str) -> tuple[Structure, dict[str, int]]:
    """Return the structure of a snapshot file, and the byte at which each of its datasets begins.

    The descriptor stays the caller's.

    Raises
    ------
    SnapshotFileError
        It is not a snapshot file of this format version. The message begins with `path`.
    """
    try:
        if os.pread(descriptor, len(SIGNATURE), 0) != SIGNATURE:
            raise _RefusedError("is not an HDF5 file")
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as stream:
            expected, found = _read_hdf5(stream)
        _require_extents(found, os.fstat(descriptor).st_size)
        layout = found["layout"]
        described = os.pread(descriptor, layout.nbytes, layout.start)
        if checksum(described) != expected:
            raise _RefusedError("is damaged: the description of its states has another checksum")
        structure = _structure(described, found)
    except _RefusedError as reason:
        raise SnapshotFileError(f"{path} {reason}") from None
    except OSError as failure:
        raise SnapshotFileError(f"{path} cannot be read ({failure})") from failure
    return structure, {name: dataset.start for name, dataset in found.items()}


class _RefusedError(Exception):
    """Why a file is refused; the message continues after the name of the file."""


@dataclass(frozen=True, slots=True)
class _Dataset:
    """A contiguous dataset of the file."""

    start: int
    """Its first byte."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.start + self.nbytes


# -- what HDF5 says of the file -----------------------------------------------------------------


def _read_hdf5(stream: Any) -> tuple[int, dict[str, _Dataset]]:
    """Return the checksum of ``/layout``, and the datasets of the format."""
    try:
        file = h5py.File(stream, "r")
    except Exception as failure:  # h5py raises errors of many kinds
        raise _RefusedError(f"cannot be opened as HDF5 ({failure})") from failure
    with file:
        try:
            version = int(_attribute(file, "format_version", np.integer))
            if version != FORMAT_VERSION:
                raise _RefusedError(
                    f"has format version {version}: this version of adjoint reads {FORMAT_VERSION}"
                )
            expected = int(_attribute(file, "layout_checksum", np.integer))
            present = [*NEEDED, *(name for name in OPTIONAL if _has_link(file, name))]
            return expected, {name: _dataset(file, name) for name in present}
        except _RefusedError:
            raise
        except Exception as failure:
            raise _RefusedError(f"is damaged: HDF5 says: {failure}") from failure


def _attribute(file: h5py.File, name: str, kind: type) -> Any:
    value = file.attrs.get(name)
    if value is None:
        raise _RefusedError(f"is not a snapshot file: it has no attribute {name!r}")
    if not isinstance(value, kind):
        raise _RefusedError(f"is not a snapshot file: its attribute {name!r} is of another type")
    return value


def _has_link(file: h5py.File, name: str) -> bool:
    return file.id.links.exists(name.encode())


def _dataset(file: h5py.File, name: str) -> _Dataset:
    if not _has_link(file, name):
        raise _RefusedError(f"is not a snapshot file: it has no dataset {name!r}")
    if file.id.links.get_info(name.encode()).type != h5l.TYPE_HARD:
        raise _RefusedError(f"has a link in place of the dataset {name!r}: links are not followed")
    dataset: Any = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise _RefusedError(f"is not a snapshot file: its {name!r} is not a dataset")
    start = dataset.id.get_offset()
    if start is None:  # chunked, compressed, compact, virtual, external, or not allocated
        raise _RefusedError(f"has a dataset {name!r} that is not one contiguous piece of the file")
    return _Dataset(start, dataset.dtype, tuple(map(int, dataset.shape)))


def _require_extents(found: dict[str, _Dataset], length: int) -> None:
    """Raise unless all datasets lie within the file, and none overlaps another."""
    if found["layout"].nbytes > MAX_LAYOUT_BYTES:
        raise _RefusedError(
            f"describes its states in {found['layout'].nbytes} bytes: at most {MAX_LAYOUT_BYTES} "
            "are read"
        )
    for name, dataset in found.items():
        if dataset.end > length:
            raise _RefusedError(
                f"is damaged: its dataset {name!r}, of shape {dataset.shape}, would end at byte "
                f"{dataset.end}, but the file has {length}"
            )
    ordered = sorted((d.start, d.end, name) for name, d in found.items() if d.nbytes)
    for (_, end, name), (start, _, following) in pairwise(ordered):
        if start < end:
            raise _RefusedError(f"is damaged: its datasets {name!r} and {following!r} overlap")


# -- what the file says of itself ---------------------------------------------------------------


def _structure(described: bytes, found: dict[str, _Dataset]) -> Structure:
    """Return the structure that ``/layout`` describes, if the datasets are those of it."""
    steps = found["steps"].shape if "steps" in found else (0,)
    rows = found["snapshots"].shape
    try:
        document = json.loads(described)
        layouts = _by_rank(document["ranks"], [_layout(f) for f in document["layouts"]])
        journals: tuple[JournalLayout, ...] = ()
        if "journals" in document:
            parts = _by_rank(document["journal_ranks"], document["journals"])
            journals = tuple(
                _journal(layout, part) for layout, part in zip(layouts, parts, strict=True)
            )
        pieces: tuple[StateLayout, ...] = ()
        if "pieces" in document:
            described_pieces = [_layout(fields) for fields in document["pieces"]]
            pieces = _by_rank(document["piece_ranks"], described_pieces)
            if len(pieces) != len(layouts):
                raise ValueError("not every rank has tapes")
        structure = Structure(
            layouts, rows[0], str(document["problem"]), journals, steps[0], pieces
        )
        expected = structure.datasets()
    except MALFORMED as error:
        raise _RefusedError(
            f"is damaged: the description of its states is wrong: {repr(error)[:200]}"
        ) from error
    if expected.keys() != found.keys():
        raise _RefusedError(f"is damaged: it has the datasets {', '.join(found)}")
    for name, (dtype, shape) in expected.items():
        dataset = found[name]
        # The length of /layout depends on the names of dtypes, and on the spelling of JSON.
        if dataset.dtype != dtype or (dataset.shape != shape and name != "layout"):
            raise _RefusedError(
                f"is damaged: its dataset {name!r} is of type {dataset.dtype} and shape "
                f"{dataset.shape}, not of type {dtype} and shape {shape}"
            )
    return structure


def _by_rank(numbers: Sequence[Any], items: Sequence[T]) -> tuple[T, ...]:
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a rank's layout is not given by its number")
    return tuple(items[number] for number in numbers)


def _layout(fields: list[dict[str, Any]]) -> StateLayout:
    # Broadcasting lets NumPy check the shape without allocating the array.
    arrays = {
        str(field["name"]): np.broadcast_to(np.empty((), _dtype(field)), field["shape"])
        for field in fields
    }
    layout = StateLayout.shaped(arrays)
    expected = [(field.name, list(field.shape), field.offset) for field in layout.fields]
    if expected != [(field["name"], field["shape"], field["offset"]) for field in fields]:
        raise ValueError("the arrays are not where they lie in a block")
    return layout


def _journal(state: StateLayout, described: dict[str, Any]) -> JournalLayout:
    rows: list[RowField] = []
    for name, count, size in described["rows"]:
        rows.append(RowField(name, count, size, sum(row.nbytes for row in rows)))
    adjoint, gradients = _layout(described["adjoint"]), _layout(described["gradients"])
    return JournalLayout(state, adjoint, gradients, tuple(rows))


def _dtype(field: dict[str, Any]) -> np.dtype[Any]:
    """Return a dtype of plain numbers.

    One that NumPy does not have itself, such as bfloat16, has the code of bytes without a meaning
    and is known by its name, if its library is loaded; otherwise it is read as such bytes.
    """
    code, name = field["dtype"], field["type"]
    dtype = np.dtype(code)
    if dtype.kind == "V" and name.isidentifier():
        with suppress(TypeError):
            named = np.dtype(name)
            dtype = named if named.str == code else dtype
    same = dtype.str == code or (dtype.kind == "V" and dtype.str[1:] == code[1:])
    if not same or dtype.hasobject or dtype.names is not None:
        raise TypeError(f"{code!r} is not the dtype of an array of plain numbers")
    return dtype
