"""The seam between a sweep and the disk: what moves states between blocks and rows of a file.

An engine works in the background. `write` and `read` return as soon as the transfer is posted, and
the computation goes on; the block belongs to the transfer until that is done. Posting raises only
for a call that could never be right; whatever the disk has to say is carried by the transfer, and
raised by `Transfer.wait`, or, if nobody waited, by `Engine.close`: it is never lost.

Transfers of the same row, and those of the same block, are carried out in the order in which they
were posted (two writes from one block may overlap, which does no harm); others in any order.

A write makes sure of space (a full disk shows there), looks for values that are not finite, takes a
checksum, writes the data, and after them an entry of this rank in the file's index, which vouches
for them. A read is compared with that. Only what this engine wrote, or was told of by `recall`, can
be read by it.

An engine is used by the thread that made it, and by no other. Its calls are not collective, but for
opening and closing, where an engine says so.
"""

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from adjoint.errors import AdjointError
from adjoint.storage.blocks import Block
from adjoint.storage.engines.meter import Meter
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.transfer import Statistics, Transfer
from adjoint.storage.placement import Entry

__all__ = ["Engine", "RowEngine", "Statistics", "Transfer"]


class Engine(Protocol):
    """Moves one rank's states to and from one file. The module says how errors travel."""

    @property
    def name(self) -> str:
        """What it is called in a report."""
        ...

    @property
    def statistics(self) -> Statistics:
        """What its transfers amount to up to now, those under way included: a copy."""
        ...

    def write(self, row: int, block: Block, step: int, cost: float = math.nan) -> Transfer:
        """Post the write of a block, which holds the state at `step`, to a row.

        `cost` is this rank's running total up to there, which a resumed run goes on from.

        Raises
        ------
        ArgumentError
            The file has no such row.
        """
        ...

    def read(self, row: int, block: Block, step: int) -> Transfer:
        """Post the read of a row, which must hold the state at `step`, into a block.

        Raises
        ------
        ArgumentError
            The file has no such row.
        """
        ...

    def recall(self, entries: Mapping[int, Entry], writes: int) -> None:
        """Take note of what an earlier run left in the file, by row, and of how much it wrote."""
        ...

    def take_failed(self) -> list[Transfer]:
        """Return the transfers found to have failed since this was asked last. Never blocks.

        They are the caller's to deal with then: closing does not raise their errors.
        """
        ...

    def progress(self) -> None:
        """Let transfers go on, if they need the caller for that. Cheap: call it often."""
        ...

    def close(self) -> None:
        """Carry out every transfer that was posted, and release the file. Twice does no harm.

        Raises
        ------
        TransferError, NonFiniteError
            A transfer failed and nobody waited for it. Everything is released nonetheless.
        """
        ...


class RowEngine(ABC):
    """What engines share: figures, what is known of failures, and how they are closed."""

    def __init__(self, file: RankFile) -> None:
        self._file = file
        self._meter = Meter()
        self._failed: deque[Transfer] = deque()
        self._closed = False

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in a report."""

    @property
    def statistics(self) -> Statistics:
        """What its transfers amount to up to now, those under way included: a copy."""
        return self._meter.read()

    def recall(self, entries: Mapping[int, Entry], writes: int) -> None:
        """Take note of what an earlier run left in the file."""
        self._file.recall(entries, writes)

    def take_failed(self) -> list[Transfer]:
        """Return the transfers found to have failed since this was asked last."""
        failed: list[Transfer] = []
        # A transfer thread may be adding to it.
        while self._failed:
            failed.append(self._failed.popleft())
            failed[-1].reported = True
        return failed

    def close(self) -> None:
        """Carry out every transfer that was posted, and release the file."""
        if self._closed:
            return
        self._closed = True
        self._release()
        for transfer in self._failed:
            if not transfer.reported:
                transfer.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except AdjointError as failure:
            if error is None:
                raise
            error.add_note(f"besides, {failure}")

    @abstractmethod
    def _release(self) -> None:
        """Carry out every transfer that was posted, raising no error of theirs, and let go."""

    def _end(self, transfer: Transfer, error: Exception | None) -> None:
        """Note that a transfer is over, and how. The last thing that happens to it."""
        if error is not None:
            transfer.error = self._file.failure(transfer.what, transfer.row, transfer.step, error)
            self._failed.append(transfer)
        self._meter.over(transfer.what, 0 if error else self._file.placement.layout.nbytes)
        transfer.ended = time.perf_counter()
