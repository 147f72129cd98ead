"""An engine that is one thread of this process, moving bytes with `pwrite` and `preadv`.

It needs no MPI, works on every file system, and overlaps wherever there is a core to spare: the
calls that take time let other threads run. With direct I/O it leaves the processor alone.

One thread, because a second gained too little to be worth its disorder: beside a computation, two
direct writes at a time were a fifth faster for states of 2 MiB, and a tenth slower for 16 MiB.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from adjoint.storage.blocks import Block
from adjoint.storage.engines.base import RowEngine
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.transfer import Transfer
from adjoint.storage.placement import Placement

__all__ = ["ThreadEngine"]


class ThreadEngine(RowEngine):
    """Carries out transfers one after the other, in the order in which they were posted.

    The thread waits for work as long as the engine is open, and nothing polls. Opening and closing
    are not collective.

    Parameters
    ----------
    placement
        The rows of this rank.
    direct
        Pass the page cache by, where the file system allows it.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, placement: Placement, *, direct: bool = False) -> None:
        super().__init__(DirectRankFile(placement) if direct else RankFile(placement))
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="adjoint-transfer")

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return "a transfer thread with direct I/O" if self.direct else "a transfer thread"

    @property
    def direct(self) -> bool:
        """Whether transfers pass the page cache by, as far as is known: the first one tells."""
        return isinstance(self._file, DirectRankFile) and self._file.direct

    def write(self, row: int, block: Block, step: int, cost: float = math.nan) -> Transfer:
        """Post the write of a block, which holds the state at `step`, to a row."""
        self._file.placement.require(row)
        self._file.writes += 1
        sequence = self._file.writes

        def write() -> None:
            file = self._file
            file.prepare_write(row)
            entry = file.vouch(block, step, sequence, cost)
            file.write(row, block)
            file.finish_write(row, entry)

        return self._post("write", write, row, block, step)

    def read(self, row: int, block: Block, step: int) -> Transfer:
        """Post the read of a row, which must hold the state at `step`, into a block."""
        self._file.placement.require(row)

        def read() -> None:
            file = self._file
            file.prepare_read(row, step)
            file.read(row, block)
            file.finish_read(row, block)

        return self._post("read", read, row, block, step)

    def progress(self) -> None:
        """Do nothing: the thread goes on by itself."""

    def _release(self) -> None:
        self._worker.shutdown(wait=True)
        self._file.close()

    def _post(
        self, what: str, work: Callable[[], None], row: int, block: Block, step: int
    ) -> Transfer:
        began = time.perf_counter()
        transfer = _ThreadTransfer(what, row, step, self._meter.figures)
        transfer.future = self._worker.submit(self._carry_out, work, transfer)
        block.hold(transfer)
        self._meter.posted(what, time.perf_counter() - began)
        return transfer

    def _carry_out(self, work: Callable[[], None], transfer: "_ThreadTransfer") -> None:
        """Do a transfer; runs in the thread."""
        failure = None
        self._meter.begin(transfer.what)
        try:
            work()
        except Exception as error:  # Whatever it is, it is the caller's to know.
            failure = error
        self._meter.end(transfer.what, time.perf_counter())
        self._end(transfer, failure)


class _ThreadTransfer(Transfer):
    future: Future[None]

    @property
    def done(self) -> bool:
        return self.future.done()

    def _finish(self) -> None:
        self.future.result()
