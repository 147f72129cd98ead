"""An engine that moves bytes with MPI's nonblocking file calls, `Iwrite_at` and `Iread_at`.

The MPI library does the transfer in the background, as far as it can; where it cannot, it goes on
when the main thread calls `progress`. Only the main thread calls MPI, so any thread level will do.
Checksums, the search for values that are not finite, and the index are the work of one helper
thread, which never calls MPI.

The helper writes index entries with `pwrite`, to the file that MPI has open as well. That is safe:
the ranges are disjoint, this rank alone writes its entries, each after its data are complete, and
MPI keeps no copy of them, because it is never asked for those bytes.

Nonblocking MPI calls do not survive a full disk, nor a read past the end of the file, and cut a
long transfer short in silence: so space is reserved and the length looked at before anything is
posted, a transfer is split at 1 GiB, and what was moved is counted.
"""

import errno
import math
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from mpi4py import MPI

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.base import RowEngine
from adjoint.storage.engines.row_io import MOST_BYTES_AT_ONCE, RankFile
from adjoint.storage.engines.transfer import Transfer
from adjoint.storage.placement import Placement

__all__ = ["MpiEngine"]


class _Stage(Protocol):
    """What a transfer waits for before it can go on: a future, or MPI requests shaped as one."""

    def done(self) -> bool: ...

    def exception(self) -> BaseException | None: ...


_Stages = Generator[_Stage, float, None]
"""What a transfer waits for; it is sent when that was over."""

_Ended = Callable[["_MpiTransfer", Exception | None], None]


class MpiEngine(RowEngine):
    """Carries out transfers by MPI I/O, on a duplicate of the communicator.

    A transfer ends when the main thread notices, in `progress`, `done` or `wait`: that is the
    moment that `Transfer.ended` tells. Where it was at work until some moment between two looks,
    the figures take it that it was until the middle. Opening and closing are collective on `comm`.

    Raises
    ------
    SnapshotFileError
        On every rank: the file system cannot reserve space, or a rank cannot open the file.
    """

    def __init__(self, comm: Communicator, placement: Placement) -> None:
        super().__init__(_opened_here(comm, placement))
        self._duplicate = comm.mpi.Dup()
        self._mpi = _opened_by_all(comm, self._duplicate, placement)
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="adjoint-checksum")
        self._under_way: dict[_MpiTransfer, Block] = {}

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return "nonblocking MPI I/O"

    def write(self, row: int, block: Block, step: int, cost: float = math.nan) -> Transfer:
        """Post the write of a block, which holds the state at `step`, to a row."""
        self._file.placement.require(row)
        self._file.writes += 1
        stages = self._write(row, block, step, self._file.writes, cost)
        return self._post("write", stages, row, block, step)

    def read(self, row: int, block: Block, step: int) -> Transfer:
        """Post the read of a row, which must hold the state at `step`, into a block."""
        self._file.placement.require(row)
        return self._post("read", self._read(row, block, step), row, block, step)

    def progress(self) -> None:
        """Test every transfer under way, which also lets MPI go on with it."""
        if self._under_way:
            for transfer in tuple(self._under_way):
                transfer.go_on()

    def _release(self) -> None:
        for transfer in tuple(self._under_way):
            transfer.settle()
        self._helper.shutdown(wait=True)
        self._file.close()
        self._mpi.Close()
        self._duplicate.Free()

    # -- the stages of a transfer -------------------------------------------------------------

    def _write(self, row: int, block: Block, step: int, sequence: int, cost: float) -> _Stages:
        file = self._file
        file.prepare_write(row)
        self._meter.begin("write")
        checked = self._helper.submit(file.vouch, block, step, sequence, cost)
        moved = _Pieces(self._mpi.Iwrite_at, file.placement.offset(row), block)
        # Both use the block, so both must be over before either may fail the transfer.
        moved_at = yield moved
        self._meter.end("write", max(moved_at, (yield checked)))
        moved.result()
        indexed = self._helper.submit(file.finish_write, row, checked.result())
        yield indexed
        indexed.result()

    def _read(self, row: int, block: Block, step: int) -> _Stages:
        file = self._file
        file.prepare_read(row, step)
        self._meter.begin("read")
        moved = _Pieces(self._mpi.Iread_at, file.placement.offset(row), block)
        self._meter.end("read", (yield moved))
        moved.result()
        verified = self._helper.submit(file.finish_read, row, block)
        yield verified
        verified.result()

    # -- inside -------------------------------------------------------------------------------

    def _post(self, what: str, stages: _Stages, row: int, block: Block, step: int) -> Transfer:
        began = time.perf_counter()
        self._settle_conflicts(what, row, block)
        transfer = _MpiTransfer(what, row, step, self._meter.figures)
        self._under_way[transfer] = block
        transfer.begin(stages, self._ended)
        block.hold(transfer)
        self._meter.posted(what, time.perf_counter() - began)
        return transfer

    def _settle_conflicts(self, what: str, row: int, block: Block) -> None:
        """Wait for transfers that MPI must not carry out at the same time as this one."""
        for other, its_block in tuple(self._under_way.items()):
            reads = "read" in (what, other.what)
            if other.row == row or (its_block is block and reads):
                other.settle()

    def _ended(self, transfer: "_MpiTransfer", error: Exception | None) -> None:
        self._end(transfer, error)
        del self._under_way[transfer]


class _MpiTransfer(Transfer):
    """A transfer that goes from stage to stage, when it is asked to and the stage is done."""

    def begin(self, stages: _Stages, ended: _Ended) -> None:
        """Set out; `ended` is called when it is over."""
        self._stages = stages
        self._stage: _Stage | None = None
        self._looked = self.began
        self._ended = ended
        self._over = False
        self._set_out()
        self.go_on()

    @property
    def done(self) -> bool:
        if not self._over:
            self.go_on()
        return self._over

    def go_on(self) -> None:
        """Pass every stage that is done."""
        now = time.perf_counter()
        while self._stage is not None:
            if not self._stage.done():
                self._looked = now
                return
            self._pass((self._looked + now) / 2)

    def _finish(self) -> None:
        while self._stage is not None:
            self._stage.exception()
            self._pass(time.perf_counter())

    def _set_out(self) -> None:
        self._to_next(lambda: next(self._stages))

    def _pass(self, at: float) -> None:
        self._to_next(lambda: self._stages.send(at))

    def _to_next(self, stage: Callable[[], _Stage]) -> None:
        try:
            self._stage = stage()
        except StopIteration:
            self._end(None)
        except Exception as error:  # Whatever it is, it is the caller's to know.
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        self._over = True
        self._stage = None
        self._ended(self, error)


class _Pieces:
    """The MPI requests that move one block, shaped as a future.

    They are tested one by one: `Testall` over file requests of which only some are complete is an
    error in MPICH 5.0.2.
    """

    def __init__(self, post: Callable[[int, Any], MPI.Request], offset: int, block: Block) -> None:
        self._error: MPI.Exception | None = None
        self._under_way: list[tuple[MPI.Request, int]] = []
        self._status = MPI.Status()
        self._missing = 0
        try:
            for start in range(0, block.bytes.size, MOST_BYTES_AT_ONCE):
                piece = block.bytes[start : start + MOST_BYTES_AT_ONCE]
                request = post(offset + start, [piece, piece.size, MPI.BYTE])
                self._under_way.append((request, piece.size))
        except MPI.Exception as error:
            self._error = error

    def done(self) -> bool:
        self._under_way = [
            (request, size)
            for request, size in self._under_way
            if not self._is_complete(request.Test, size)
        ]
        return not self._under_way

    def exception(self) -> BaseException | None:
        for request, size in self._under_way:
            self._is_complete(request.Wait, size)
        self._under_way = []
        return self._error

    def result(self) -> None:
        """Raise unless every byte was moved. To be called when they are done."""
        if self._error is not None:
            raise self._error
        if self._missing:
            raise OSError(errno.EIO, f"MPI left out {self._missing} bytes, and did not say why")

    def _is_complete(self, call: Callable[[MPI.Status], bool], size: int) -> bool:
        try:
            if not call(self._status):
                return False
        except MPI.Exception as error:
            self._error = error
        else:
            self._missing += size - self._status.Get_count(MPI.BYTE)
        return True


def _opened_here(comm: Communicator, placement: Placement) -> RankFile:
    """Open the file as this rank sees it; if any rank cannot, raise on all."""
    file, error = None, None
    if not placement.reservable:
        error = SnapshotFileError(
            f"the file system of {placement.path} cannot reserve space, and there nonblocking "
            'MPI I/O may hang when the disk is full: use engine="thread"'
        )
    else:
        try:
            file = RankFile(placement)
        except OSError as failure:
            error = SnapshotFileError(f"cannot open {placement.path}: {failure}")
    try:
        comm.agree(error)
    except SnapshotFileError:
        if file is not None:
            file.close()
        raise
    assert file is not None
    return file


def _opened_by_all(comm: Communicator, duplicate: MPI.Intracomm, placement: Placement) -> MPI.File:
    """Open the file collectively; if any rank cannot, raise on all."""
    file, error = MPI.FILE_NULL, None
    try:
        file = MPI.File.Open(duplicate, placement.path, MPI.MODE_RDWR)
    except MPI.Exception as failure:
        error = SnapshotFileError(f"MPI cannot open {placement.path}: {failure}")
    comm.agree(error)
    return file
