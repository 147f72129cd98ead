"""One rank's rows in an open snapshot file: what both engines do to them, apart from moving bytes.

Every write is checked and checksummed, and vouched for in the index after the data; every read is
checked against that. All errors are `OSError` and `NonFiniteError`, for a transfer to carry.
"""

import errno
import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import AdjointError, NonFiniteError, TransferError
from adjoint.storage.blocks import Block
from adjoint.storage.checksums import checksum, first_non_finite
from adjoint.storage.placement import ENTRY_BYTES, Entry, Placement

__all__ = ["MOST_BYTES_AT_ONCE", "RankFile"]

MOST_BYTES_AT_ONCE = 1 << 30
"""Longer transfers are split: both `pwrite` and MPI cut what is above 2 GiB short, in silence."""


class RankFile:
    """The rows of one rank. Calls on different rows may come from different threads.

    Raises
    ------
    OSError
        The file cannot be opened, or is a symbolic link.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.writes = 0
        """Writes that were posted, those of the run that this one resumes included."""
        self._descriptor = os.open(placement.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._entries: dict[int, Entry] = {}
        self._reserved: set[int] = set()

    def recall(self, entries: Mapping[int, Entry], writes: int) -> None:
        """Take note of what an earlier run left: entries by row, and how many writes it posted."""
        self._entries = dict(entries)
        self.writes = writes

    def prepare_write(self, row: int) -> None:
        """Make sure that there is space for a row, and that nobody takes it for what was in it.

        This is where a full disk shows, and not in a transfer under way.
        """
        if self._entries.pop(row, None) is not None:
            self._put(memoryview(bytes(ENTRY_BYTES)), self.placement.index_offset(row))
        size = self.placement.layout.memory_bytes
        if row in self._reserved or size == 0 or not self.placement.reservable:
            return
        os.posix_fallocate(self._descriptor, self.placement.offset(row), size)
        self._reserved.add(row)

    def vouch(self, block: Block, step: int, sequence: int, cost: float) -> Entry:
        """Return the index entry of a state that is sound.

        Raises
        ------
        NonFiniteError
            It is not: the message names the array.
        """
        name = first_non_finite(block.arrays)
        if name is not None:
            raise NonFiniteError(
                f"{name!r} is not finite in state {step} on rank {self.placement.rank}, found when "
                "writing it to the file: is the time step stable, are the controls in range?"
            )
        return Entry(step, sequence, checksum(self._data(block)), cost)

    def write(self, row: int, block: Block) -> None:
        """Write a block to a row. The index is left alone."""
        self._put(block.bytes.data, self.placement.offset(row))

    def finish_write(self, row: int, entry: Entry) -> None:
        """Vouch, in the index, for what is in a row now."""
        self._put(memoryview(entry.packed()), self.placement.index_offset(row))
        self._entries[row] = entry

    def prepare_read(self, row: int, step: int) -> None:
        """Make sure that a row holds a state to be read.

        A read past the end of a file never returns with some MPI libraries, so the file's length
        is looked at first: something else may have cut it.
        """
        entry = self._entries.get(row)
        if entry is None or entry.step != step:
            found = "no sound state" if entry is None else f"state {entry.step}"
            raise OSError(errno.ENODATA, f"the row holds {found}")
        end = self.placement.offset(row) + self.placement.layout.memory_bytes
        length = os.fstat(self._descriptor).st_size
        if length < end:
            raise _cut_short(length, end)

    def read(self, row: int, block: Block) -> None:
        """Read a row into a block, whatever is in it."""
        self._get(block.bytes.data, self.placement.offset(row))

    def finish_read(self, row: int, block: Block) -> None:
        """Compare a block that was read from a row with what the index says."""
        found = checksum(self._data(block))
        expected = self._entries[row].checksum
        if found != expected:
            raise OSError(
                errno.EIO,
                f"its checksum is {found:#018x}, {expected:#018x} was written: "
                "the file was changed by something else, or the disk is failing",
            )

    def failure(self, what: str, row: int, step: int, error: Exception) -> AdjointError:
        """Return the error that tells a caller which transfer `error` ended."""
        if isinstance(error, AdjointError):
            return error
        place = self.placement
        failure = TransferError(
            f"could not {what} state {step}, row {row} of {place.path}, "
            f"on rank {place.rank}: {error}"
        )
        failure.errno = error.errno if isinstance(error, OSError) else None
        failure.__cause__ = error
        return failure

    def close(self) -> None:
        """Close the file. Nothing may be under way, and every later call fails."""
        os.close(self._descriptor)
        self._descriptor = -1

    def _data(self, block: Block) -> NDArray[np.uint8]:
        return block.bytes[: self.placement.layout.nbytes]

    def _get(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.preadv(self._descriptor, [data[:MOST_BYTES_AT_ONCE]], offset)
            if count == 0:
                raise _cut_short(offset, offset + len(data))
            data, offset = data[count:], offset + count

    def _put(self, data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(self._descriptor, data[:MOST_BYTES_AT_ONCE], offset)
            data, offset = data[count:], offset + count


def _cut_short(length: int, end: int) -> OSError:
    return OSError(
        errno.ENODATA,
        f"the file ends at byte {length}, the row at {end}: something else has cut it short",
    )
