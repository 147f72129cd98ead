"""One rank's rows, moved past the page cache: direct I/O, where the file system allows it.

A write through the page cache is a copy, by a processor that the computation may need, followed by
a write to the disk; with direct I/O the disk controller does all the work. Memory address, file
offset and length must be multiples of the sector size; rows, and blocks of large states, are whole
pages on page boundaries. Small states go through the page cache.

Only states are moved in this way. The index, and any other reader of the file, use the page cache.
That is coherent: index and states share no page, a direct write invalidates the cached pages it
overwrites, and a direct read first writes back the dirty pages in its range.
"""

import errno
import os
from collections.abc import Callable

from adjoint.storage.blocks import Block
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.file_format import Placement
from adjoint.storage.file_io import MAX_CALL_BYTES, closing, read_fully, write_fully
from adjoint.storage.state_layout import PAGE_BYTES

__all__ = ["DirectRankFile"]

REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP)
"""Errors of a file system without direct I/O, or with direct I/O for larger sectors only."""


class DirectRankFile(RankFile):
    """One rank's rows, moved by direct I/O, or as by `RankFile` once that has been refused.

    Raises
    ------
    OSError
        The file cannot be opened, or is a symbolic link.
    """

    def __init__(self, placement: Placement) -> None:
        self._direct_descriptor = _open_direct(placement)
        if self._direct_descriptor is not None:
            self._close_direct = closing(self, self._direct_descriptor)
        try:
            super().__init__(placement)
        except BaseException:
            self._give_up_direct()
            raise

    @property
    def uses_page_cache(self) -> bool:
        """Whether direct I/O was refused; a file system may do so at the first transfer only."""
        return self._direct_descriptor is None

    def write(self, row: int, block: Block) -> None:
        data, offset = block.bytes.data, self.placement.offset(row)
        moved = self._move(os.pwrite, data, offset) if block.layout.is_large else 0
        write_fully(self._descriptor, data[moved:], offset + moved)

    def read(self, row: int, block: Block) -> None:
        data, offset = block.bytes.data, self.placement.offset(row)
        moved = self._move(_read_at, data, offset) if block.layout.is_large else 0
        read_fully(self._descriptor, data[moved:], offset + moved)

    def close(self) -> None:
        self._give_up_direct()
        super().close()

    def _move(
        self, call: Callable[[int, memoryview, int], int], data: memoryview, offset: int
    ) -> int:
        """Return how many bytes direct I/O has moved.

        The caller moves the rest through the page cache; if something is wrong, that reports it.
        """
        moved = 0
        while moved < len(data) and self._direct_descriptor is not None:
            piece = data[moved : moved + MAX_CALL_BYTES]
            try:
                count = call(self._direct_descriptor, piece, offset + moved)
            except OSError as error:
                if error.errno not in REFUSALS:
                    raise
                self._give_up_direct()
                break
            moved += count
            if count < len(piece):
                break
        return moved

    def _give_up_direct(self) -> None:
        if self._direct_descriptor is not None:
            self._direct_descriptor = None
            self._close_direct()


def _open_direct(placement: Placement) -> int | None:
    """Return a descriptor for direct I/O; None where it is refused."""
    flag = getattr(os, "O_DIRECT", 0)
    aligned = placement.data_start % PAGE_BYTES == placement.row_bytes % PAGE_BYTES == 0
    if not flag or not aligned or not any(layout.is_large for layout in placement.layouts):
        return None
    try:
        return os.open(placement.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flag)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        return None


def _read_at(descriptor: int, data: memoryview, offset: int) -> int:
    return os.preadv(descriptor, [data], offset)
