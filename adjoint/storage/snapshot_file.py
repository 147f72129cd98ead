"""The snapshot file: one HDF5 file a run, made once, whose structure never changes afterwards.

===============  ==================================================================================
``/snapshots``   bytes, one row a state: every rank's block in rank order, each as long as its
                 layout's `block_bytes`. Contiguous, allocated early and never filled, so it is
                 sparse: a row takes disk space when it is first written.
``/index``       (rows, ranks) of (step, sequence, checksum): which state each rank's part of a row
                 holds. A row is valid if all its ranks have the same step and the same sequence
                 number, and that is not 0.
``/layout``      JSON: the names, shapes, dtypes and offsets of the arrays in a block, each
                 different layout once, and for every rank which one it has.
attributes       ``format_version``, ``communicator_size``, ``fingerprint`` (SHA-256)
===============  ==================================================================================

The HDF5 library makes the file and is then done with it: an engine moves bytes to and from the
offsets in a `Placement`. So a killed run leaves a sound file, and any HDF5 tool may open it at any
time. With an MPI build of h5py all ranks make it together; with any other rank 0 does.
"""

import os
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import DTypeLike

from adjoint.comm import Communicator
from adjoint.errors import ScheduleError, SnapshotFileError
from adjoint.storage.claiming import claim, open_regular, refused, remove, reservable
from adjoint.storage.layout import LARGEST_ALIGNMENT, PAGE_BYTES, StateLayout
from adjoint.storage.placement import ENTRY_BYTES, Placement
from adjoint.storage.structure import FORMAT_VERSION, INDEX_DTYPE, Structure

__all__ = ["SnapshotFile"]

CLEARED_AT_ONCE = 1 << 20
"""Bytes of the index that are zeroed by one call."""

T = TypeVar("T")


class SnapshotFile:
    """An existing file with room for some states, and which of its rows are in use.

    Made by `create` or `temporary`. A row holds one state of all ranks. All ranks take rows and
    give them back by the same calls, so they agree on them without a word.
    """

    def __init__(self, placement: Placement, *, removed_at_close: bool, owns_path: bool) -> None:
        self.placement = placement
        """Where this rank's part of every row is: what an engine needs."""
        self._removes = removed_at_close and owns_path
        self._free: list[int] = []
        self._taken: set[int] = set()
        self._touched = 0

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        comm: Communicator,
        layout: StateLayout,
        rows: int,
        fingerprint: bytes,
    ) -> Self:
        """Make the file, or take one that this problem left, emptied; it is kept at close.

        Collective. Rank 0's path counts. Nobody but the file's owner can read it.

        Parameters
        ----------
        path
            Where. If there is something already, it must be a snapshot file of the same format,
            fingerprint, layouts and number of ranks. With fewer rows it is made anew.
        comm
            The ranks whose states are kept.
        layout
            Of this rank's state; it may be empty, but not on all ranks.
        rows
            How many states there may be at once.
        fingerprint
            What tells this problem from others.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be made there, or what is there is something else, which is
            left as it is.
        """
        return cls._open(os.fspath(path), comm, layout, rows, fingerprint, removed_at_close=False)

    @classmethod
    def temporary(
        cls,
        directory: str | os.PathLike[str],
        comm: Communicator,
        layout: StateLayout,
        rows: int,
        fingerprint: bytes,
    ) -> Self:
        """Make a file of a name that nothing else has; it is removed at close. Collective.

        Raises
        ------
        SnapshotFileError
            On every rank: it cannot be made there.
        """
        path = os.path.join(directory, f"adjoint-{secrets.token_hex(8)}.h5")
        return cls._open(path, comm, layout, rows, fingerprint, removed_at_close=True)

    @staticmethod
    def check(
        path: str | os.PathLike[str], comm: Communicator, layout: StateLayout, fingerprint: bytes
    ) -> None:
        """Raise if there is something at `path` that `create` would refuse.

        Collective. Nothing is made or changed.

        Raises
        ------
        SnapshotFileError
            On every rank: what is there is not ours, or is another problem's.
        """
        structure = Structure.of(comm.gather(layout), 1, fingerprint)
        place: str = comm.gather(os.path.abspath(path))[0]
        _on_rank_zero(comm, place, lambda: _check(place, structure))

    @classmethod
    def _open(
        cls,
        path: str,
        comm: Communicator,
        layout: StateLayout,
        rows: int,
        fingerprint: bytes,
        *,
        removed_at_close: bool,
    ) -> Self:
        structure = Structure.of(comm.gather(layout), rows, fingerprint)
        path = comm.gather(os.path.abspath(path))[0]
        is_new = _on_rank_zero(comm, path, lambda: _claim(path, structure))
        try:
            if is_new:
                snapshots, index = _make(path, structure, comm)
            else:
                snapshots, index = _on_rank_zero(comm, path, lambda: _reopen(path, structure))
            every_rank_can = all(_on_all_ranks(comm, path, lambda: reservable(path)))
        except SnapshotFileError:
            if is_new and comm.rank == 0:
                remove(path)
            raise
        placement = structure.placement(
            path, comm.rank, snapshots, index, reservable=every_rank_can
        )
        return cls(placement, removed_at_close=removed_at_close, owns_path=comm.rank == 0)

    @property
    def path(self) -> str:
        """Where it is."""
        return self.placement.path

    @property
    def row_bytes(self) -> int:
        """What one state of all ranks takes."""
        return self.placement.row_bytes

    @property
    def disk_bytes_used(self) -> int:
        """What the rows that were ever in use take, all ranks together."""
        return self._touched * self.row_bytes

    def take_row(self) -> int:
        """Return a row that holds nothing: the one given back last, else the first never used.

        Raises
        ------
        ScheduleError
            Every row is taken.
        """
        if self._free:
            row = self._free.pop()
        elif self._touched < self.placement.rows:
            row = self._touched
            self._touched += 1
        else:
            raise ScheduleError(
                f"all {self.placement.rows} rows of {self.path} are in use: the schedule keeps "
                "more states in the file than it was made for"
            )
        self._taken.add(row)
        return row

    def give_back_row(self, row: int) -> None:
        """Give up a row and what it holds.

        Raises
        ------
        ScheduleError
            It is not taken.
        """
        if row not in self._taken:
            raise ScheduleError(f"row {row} of {self.path} was given back, but is not taken")
        self._taken.remove(row)
        self._free.append(row)

    def close(self) -> None:
        """Remove the file if it is a temporary one. Not collective: rank 0 does it."""
        if self._removes:
            self._removes = False
            remove(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _on_rank_zero(comm: Communicator, path: str, work: Callable[[], T]) -> T:
    """Return what `work` returns on rank 0, on every rank; if it fails, raise on every rank."""
    results = _on_all_ranks(comm, path, work if comm.rank == 0 else lambda: None)
    return cast(T, results[0])


def _on_all_ranks(comm: Communicator, path: str, work: Callable[[], T]) -> list[T]:
    """Return what `work` returns on each rank, on every rank; if one fails, raise on every rank."""
    result, error = None, None
    try:
        result = work()
    except SnapshotFileError as failure:
        error = failure
    except Exception as failure:  # h5py raises many kinds
        error = SnapshotFileError(f"cannot use the snapshot file {path}: {failure}")
        error.__cause__ = failure
    comm.agree(error)
    return comm.gather(result)


# -- a new file -------------------------------------------------------------------------------


def _make(path: str, structure: Structure, comm: Communicator) -> tuple[int, int]:
    """Write the structure to a claimed file; return where `/snapshots` and `/index` begin."""
    together = comm.mpi is not None and bool(h5py.get_config().mpi)
    access = {"driver": "mpio", "comm": comm.mpi} if together else {}
    first = comm.rank == 0

    def write() -> tuple[int, int]:
        return _write_structure(path, structure, access, writes_layout=first)

    return _on_all_ranks(comm, path, write)[0] if together else _on_rank_zero(comm, path, write)


def _write_structure(
    path: str, structure: Structure, access: dict[str, Any], *, writes_layout: bool
) -> tuple[int, int]:
    rows, ranks = structure.rows, structure.ranks
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
        snapshots = _allocated(file, "snapshots", np.uint8, (rows, structure.row_bytes))
        index = _allocated(file, "index", INDEX_DTYPE, (rows, ranks))
        layout = _allocated(file, "layout", np.uint8, described.shape)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["communicator_size"] = ranks
        file.attrs["fingerprint"] = np.bytes_(structure.fingerprint.encode())
        if writes_layout:
            layout[...] = described
        return snapshots.id.get_offset(), index.id.get_offset()


def _allocated(file: h5py.File, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> Any:
    """Make a dataset that has its place in the file now, and is never filled: it reads as zero."""
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_layout(h5d.CONTIGUOUS)
    creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5d.FILL_TIME_NEVER)
    kind = h5t.py_create(np.dtype(dtype), logical=True)
    space = h5s.create_simple(shape)
    return h5py.Dataset(h5d.create(file.id, name.encode(), kind, space, dcpl=creation))


# -- a file that is there already ---------------------------------------------------------------


def _reopen(path: str, structure: Structure) -> tuple[int, int]:
    """Empty a file of the same problem; return where its `/snapshots` and `/index` begin."""
    descriptor = open_regular(path)
    try:
        snapshots, index, rows = _inspect(path, structure)
        end = index + rows * structure.ranks * ENTRY_BYTES
        for start in range(index, end, CLEARED_AT_ONCE):
            os.pwrite(descriptor, bytes(min(CLEARED_AT_ONCE, end - start)), start)
    finally:
        os.close(descriptor)
    return snapshots, index


def _claim(path: str, structure: Structure) -> bool:
    """Make an empty file; return False if there is one that may serve.

    One of the same problem with too few rows makes way: the plan was another one then.
    """
    if os.path.lexists(path):
        os.close(open_regular(path))
        if _inspect(path, structure)[2] >= structure.rows:
            return False
        remove(path)
    return claim(path, structure.metadata_bytes, structure.file_bytes)


def _check(path: str, structure: Structure) -> None:
    if os.path.lexists(path):
        os.close(open_regular(path))
        _inspect(path, structure)


def _inspect(path: str, structure: Structure) -> tuple[int, int, int]:
    """Return where `/snapshots` and `/index` begin, and the number of rows, if the file is ours."""
    if not h5py.is_hdf5(path):
        raise refused(path, "is not an HDF5 file")
    try:
        file: Any = h5py.File(path, "r", locking=False)
    except OSError as failure:
        raise refused(path, f"cannot be opened as HDF5 ({failure})") from failure
    with file:
        attributes = dict(file.attrs)
        known = {"format_version", "communicator_size", "fingerprint"} <= set(attributes)
        if not known or not {"snapshots", "index", "layout"} <= set(file):
            raise refused(path, "is an HDF5 file, but not a snapshot file")
        snapshots, index = file["snapshots"], file["index"]
        rows = int(snapshots.shape[0])
        difference = _difference(structure, attributes, file["layout"][...].tobytes())
        if difference is not None:
            raise refused(path, difference)
        return snapshots.id.get_offset(), index.id.get_offset(), rows


def _difference(structure: Structure, attributes: dict[str, Any], layout: bytes) -> str | None:
    """Return why a snapshot file cannot serve as the one wanted, if it cannot."""
    version, ranks = attributes["format_version"], attributes["communicator_size"]
    if int(version) != FORMAT_VERSION:
        return f"has format version {version}, not {FORMAT_VERSION}"
    if int(ranks) != structure.ranks:
        return f"was made on {ranks} ranks, not {structure.ranks}"
    if bytes(attributes["fingerprint"]).decode() != structure.fingerprint:
        return "belongs to another problem"
    if layout != structure.described():
        return "is for states of other names, shapes or types"
    return None
