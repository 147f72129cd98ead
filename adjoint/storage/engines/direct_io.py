"""One rank's rows, moved past the page cache: direct I/O, where the file system allows it.

A write through the page cache is a copy, by a processor that the computation may need, and then a
write to the disk; direct I/O is the second alone, by the disk's own controller. It asks that
memory, place and length be whole sectors, which blocks and rows are: whole pages, on a page.

Only states are moved so. The index goes through the page cache, and so does any other reader of the
file. That is coherent: index and states share no page, a direct write drops the cached pages it
passes by, and a direct read writes back those it would miss.
"""

import errno
import os
from collections.abc import Callable

from adjoint.storage.blocks import Block
from adjoint.storage.engines.row_io import MOST_BYTES_AT_ONCE, RankFile
from adjoint.storage.placement import Placement
from adjoint.storage.state_layout import PAGE_BYTES

__all__ = ["DirectRankFile"]


class DirectRankFile(RankFile):
    """The rows of one rank, moved by direct I/O, or as `RankFile` does where that is refused.

    Raises
    ------
    OSError
        The file cannot be opened, or is a symbolic link.
    """

    def __init__(self, placement: Placement) -> None:
        self._direct_descriptor = _opened_directly(placement)
        try:
            super().__init__(placement)
        except OSError:
            self._close_directly()
            raise

    @property
    def direct(self) -> bool:
        """Whether transfers pass the page cache by, as far as is known: the first one tells."""
        return self._direct_descriptor is not None

    def write(self, row: int, block: Block) -> None:
        data, offset = block.bytes.data, self.placement.offset(row)
        moved = self._move(os.pwrite, data, offset)
        self._put(data[moved:], offset + moved)

    def read(self, row: int, block: Block) -> None:
        data, offset = block.bytes.data, self.placement.offset(row)
        moved = self._move(_read_at, data, offset)
        self._get(data[moved:], offset + moved)

    def close(self) -> None:
        self._close_directly()
        super().close()

    def _move(
        self, call: Callable[[int, memoryview, int], int], data: memoryview, offset: int
    ) -> int:
        """Return how many bytes direct I/O has moved; the rest is for the page cache.

        Which, if there is something wrong with the rest, says what.
        """
        moved = 0
        while moved < len(data) and self._direct_descriptor is not None:
            piece = data[moved : moved + MOST_BYTES_AT_ONCE]
            try:
                count = call(self._direct_descriptor, piece, offset + moved)
            except OSError as error:
                if error.errno not in _REFUSALS:
                    raise
                self._close_directly()
                break
            moved += count
            if count < len(piece):
                break
        return moved

    def _close_directly(self) -> None:
        descriptor, self._direct_descriptor = self._direct_descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP)
"""What a file system says that has no direct I/O, or has it for larger sectors only."""


def _opened_directly(placement: Placement) -> int | None:
    """Return a descriptor for direct I/O; None where there is none to be had."""
    flag = getattr(os, "O_DIRECT", 0)
    if not flag or placement.data_start % PAGE_BYTES or placement.row_bytes % PAGE_BYTES:
        return None
    try:
        return os.open(placement.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flag)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return None


def _read_at(descriptor: int, data: memoryview, offset: int) -> int:
    return os.preadv(descriptor, [data], offset)
