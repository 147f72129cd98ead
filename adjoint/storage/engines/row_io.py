"""One rank's rows in an open snapshot file: what is done to them, step by step.

A write is `prepare_write`, `vouch`, `write`, `finish_write`; a read is `prepare_read`, `read`,
`finish_read`. All of them block, and raise `OSError` or `NonFiniteError` for a transfer to carry.

The order keeps the index truthful whenever the process is killed: an entry is cleared before its
row is overwritten, and written after the data it vouches for. What is then read from the row is
compared with the entry's checksum.
"""

import errno
import os
import resource
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import AdjointError, NonFiniteError, TransferError
from adjoint.storage.blocks import Block
from adjoint.storage.checksums import checksum, first_non_finite
from adjoint.storage.engines.transfer import Direction
from adjoint.storage.file_format import Placement
from adjoint.storage.file_io import closing, cut_short, read_fully, write_fully
from adjoint.storage.index import ENTRY_BYTES, Entry
from adjoint.storage.row_keys import described

__all__ = ["RankFile"]


class RankFile:
    """One rank's rows, read and written through the page cache.

    Calls for different rows may come from different threads. A subclass that moves bytes in another
    way overrides `read`, `write`, `uses_page_cache` and `close`.

    Raises
    ------
    OSError
        No descriptor is left.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.writes = 0
        """Writes posted, those of the run that this one resumes included."""
        self._descriptor = os.dup(placement.descriptor)
        self._close = closing(self, self._descriptor)
        status = os.fstat(self._descriptor)
        self.identity = status.st_dev, status.st_ino
        """Device and inode of the file, whatever its path names later."""
        self._evaluation = 0
        self._entries: dict[int, Entry] = {}
        self._reserved: dict[int, int] = {}
        """Bytes reserved in each row."""

    @property
    def uses_page_cache(self) -> bool:
        """Whether data pass through the page cache, as far as is known."""
        return True

    def begin_evaluation(self, evaluation: int, entries: Mapping[int, Entry], writes: int) -> None:
        """Name the evaluation that writes from now on, and what the file has of it.

        `entries` are valid ones of an earlier run, by row; `writes` is the last one's number.
        """
        self._evaluation = evaluation
        self._entries.update(entries)
        self.writes = writes

    def prepare_write(self, row: int, size: int) -> None:
        """Clear the index entry of a row, and reserve disk space for `size` bytes in it.

        A full disk, or a limit of the size of files, shows here, not in a transfer under way.
        """
        if self._entries.pop(row, None) is not None:
            write_fully(
                self._descriptor, memoryview(bytes(ENTRY_BYTES)), self.placement.index_offset(row)
            )
        start = self.placement.offset(row)
        if self._reserved.get(row, 0) >= size:
            return
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and start + size > limit:
            # Reserving space within the present length of a file succeeds all the same.
            raise OSError(errno.EFBIG, f"files may have {limit} bytes (ulimit -f)")
        if self.placement.reservable:
            os.posix_fallocate(self._descriptor, start, size)
        self._reserved[row] = size

    def vouch(self, block: Block, step: int, sequence: int, cost: float) -> Entry:
        """Return the index entry of the state in a block, or of the piece of a tape.

        Raises
        ------
        NonFiniteError
            An array of a state contains an infinity or a NaN: the message names it.
        """
        # what a tape holds need not be finite, nor all of it written
        name = first_non_finite(block.arrays) if step >= 0 else None
        if name is not None:
            raise NonFiniteError(
                f"{name!r} is not finite in state {step} on rank {self.placement.rank}, found when "
                "writing it to the file: is the time step stable, are the controls in range?"
            )
        return Entry(step, sequence, self._evaluation, checksum(self._data(block)), cost)

    def write(self, row: int, block: Block) -> None:
        """Write a block to a row, without its index entry."""
        write_fully(self._descriptor, block.bytes.data, self.placement.offset(row))

    def finish_write(self, row: int, entry: Entry) -> None:
        """Write the index entry of a row whose data have been written."""
        write_fully(self._descriptor, memoryview(entry.packed()), self.placement.index_offset(row))
        self._entries[row] = entry

    def prepare_read(self, row: int, step: int, size: int) -> None:
        """Raise unless the row holds the state at `step` and the file has `size` bytes of it.

        Another program may have cut the file short, and with some MPI libraries a read past the end
        never returns.
        """
        entry = self._entries.get(row)
        if entry is None or entry.step != step:
            found = "no valid state" if entry is None else described(entry.step)
            raise OSError(errno.ENODATA, f"the row holds {found}")
        end = self.placement.offset(row) + size
        length = os.fstat(self._descriptor).st_size
        if length < end:
            raise cut_short(length, end)

    def read(self, row: int, block: Block) -> None:
        """Read a row into a block, without comparing it with its index entry."""
        read_fully(self._descriptor, block.bytes.data, self.placement.offset(row))

    def finish_read(self, row: int, block: Block) -> None:
        """Compare a block that was read from a row with the row's index entry."""
        found = checksum(self._data(block))
        expected = self._entries[row].checksum
        if found != expected:
            raise OSError(
                errno.EIO,
                f"its checksum is {found:#018x}, {expected:#018x} was written: "
                "another program changed the file, or the disk is failing",
            )

    def failure(self, what: Direction, row: int, step: int, error: Exception) -> AdjointError:
        """Return the error for the caller of a transfer that failed with `error`."""
        if isinstance(error, AdjointError):
            return error
        place = self.placement
        failure = TransferError(
            f"could not {what} {described(step)}, row {row} of {place.name}, "
            f"on rank {place.rank}: {error}"
        )
        failure.errno = error.errno if isinstance(error, OSError) else None
        failure.__cause__ = error
        return failure

    def close(self) -> None:
        """Close the file. No transfer may be under way."""
        self._close()
        self._descriptor = -1

    def _data(self, block: Block) -> NDArray[np.uint8]:
        return block.bytes[: block.layout.nbytes]
