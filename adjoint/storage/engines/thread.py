"""An engine that is one thread of this process and makes calls that block.

It needs no MPI, works on every file system, and overlaps with the computation wherever a core is
free: its calls release the GIL. With a `DirectRankFile` the disk controller does the work.

One thread, because a second one gained too little for the disorder it brings: beside a computation,
two direct writes at a time were 20 % faster for states of 2 MiB, and 10 % slower for states of 16
MiB.
"""

from adjoint.storage.engines.base import Request, RowEngine
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.transfer import Transfer
from adjoint.storage.engines.worker import Task, Worker
from adjoint.storage.file_format import Placement

__all__ = ["ThreadEngine"]


class ThreadEngine(RowEngine):
    """Carries out transfers one after the other, in the order in which they were posted.

    The thread sleeps between transfers and lives as long as the engine is open. Opening and closing
    are not collective.

    Parameters
    ----------
    file
        The rows of this rank, and how they are read and written; the engine's to close. A placement
        is opened as a `RankFile`, which goes through the page cache.
    """

    def __init__(self, file: RankFile | Placement) -> None:
        super().__init__(RankFile(file) if isinstance(file, Placement) else file)
        self._worker = Worker("adjoint-transfer")

    @property
    def name(self) -> str:
        """What a report calls it."""
        return "a transfer thread" + ("" if self.uses_page_cache else " with direct I/O")

    def _post(self, request: Request) -> Transfer:
        transfer = _ThreadTransfer(*request.identity, self._meter.figures)
        transfer.task = self._worker.submit(self._carry_out, request, transfer)
        return transfer

    def _release(self) -> None:
        # If the thread is stuck in the kernel, it closes the file itself, should it ever return.
        self._worker.submit(self._file.close)
        self._worker.close(wait=self.stalled is None)


class _ThreadTransfer(Transfer):
    task: Task

    @property
    def done(self) -> bool:
        return self.task.done

    def _pause(self, seconds: float) -> None:
        self.task.wait(seconds)
