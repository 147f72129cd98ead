"""An engine that moves bytes with MPI's nonblocking file calls, `Iwrite_at` and `Iread_at`.

The MPI library transfers in the background as far as it can; where it cannot, transfers advance
when the main thread calls `progress`. Only the main thread calls MPI, so any thread level will do.
One helper thread, which never calls MPI, computes checksums, looks for values that are not finite,
and writes the index.

The helper writes index entries with `pwrite` to the file that MPI has open as well. That is safe:
the ranges are disjoint, only this rank writes its entries, each after its data are complete, and
MPI never caches those bytes because it is never asked for them.

Errors of nonblocking transfers are badly reported. So space is reserved and the length of the file
checked before anything is posted, a transfer is split at 1 GiB, the bytes that were moved are
counted, and requests are only tested, never waited for:

- In MPICH, and all that has its MPI I/O, a request that has failed is under way for ever. It is
  overdue some time later (`adjoint.storage.engines.deadline`).
- Open MPI crashes in the call that completes a request that has failed. `Get_status`, which does
  not complete it, shows too few bytes. Then the request is left as it is, and its block is not used
  again: other parts of the request may still be under way.

A file with overdue requests is not closed, because that is collective and would wait for them. MPI
is finalized nevertheless, which was found to work; should it not be, once all ranks have come to
their end, the processes are ended.
"""

import atexit
import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any, Protocol

from mpi4py import MPI

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.agreement import on_all_ranks
from adjoint.storage.blocks import Block
from adjoint.storage.engines.base import Request, RowEngine
from adjoint.storage.engines.deadline import end_soon, keep_for_ever
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.transfer import Transfer
from adjoint.storage.engines.worker import Worker
from adjoint.storage.file_format import Placement
from adjoint.storage.file_io import MAX_CALL_BYTES

__all__ = ["MpiEngine"]


SPARE_DESCRIPTORS = 8
"""That many must be left: opening a file takes up to three with MPICH 5.0 and Open MPI 4.1."""

NUM_YIELDS = 100
"""Tests of a request that is waited for before the first nap; other threads may run in between."""

SHORTEST_NAP_SECONDS, LONGEST_NAP_SECONDS = 20e-6, 1e-3
"""Time between two tests afterwards: it doubles from one to the next."""

CAN_COMPLETE_FAILURES = MPI.get_vendor()[0] != "Open MPI"


class _Stage(Protocol):
    """What a transfer waits for before it continues: a call of the helper, or MPI requests."""

    @property
    def done(self) -> bool: ...

    def wait(self, seconds: float) -> bool: ...


_Stages = Generator[_Stage, Any, None]
"""The stages of a transfer, one after the other; it is sent the time at which each ended."""


class MpiEngine(RowEngine):
    """Carries out transfers by MPI I/O, on a duplicate of the communicator.

    A transfer ends when the main thread notices, in `progress`, `done` or `wait`; that is the time
    in `Transfer.ended`. If it was under way at one call and done at the next, the statistics count
    it as at work until midway between them. Opening and closing are collective on `comm`.

    Raises
    ------
    SnapshotFileError
        On every rank: the file system cannot reserve space, or a rank cannot open the file.
    """

    def __init__(self, comm: Communicator, placement: Placement) -> None:
        super().__init__(_open_on_all_ranks(comm, placement))
        self._duplicate = comm.mpi.Dup()
        try:
            self._mpi = on_all_ranks(
                lambda: MPI.File.Open(self._duplicate, placement.path, MPI.MODE_RDWR),
                comm,
                failing=f"MPI cannot open {placement.path}",
                catch=MPI.Exception,
            )
        except SnapshotFileError:
            self._duplicate.Free()
            self._file.close()
            raise
        self._helper = Worker("adjoint-checksum")
        self._under_way: dict[_MpiTransfer, Request] = {}
        self._moving: list[_Pieces] = []
        """What has been posted; some of it has ended."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        return "nonblocking MPI I/O"

    def progress(self) -> None:
        """Test every transfer under way, which also lets MPI advance it."""
        for transfer in tuple(self._under_way):
            transfer.go_on()

    def _post(self, request: Request) -> Transfer:
        self._settle_conflicts(request)
        if self.stalled is not None:
            return self._refused(request)
        transfer = _MpiTransfer(*request.identity, self._meter.figures)
        self._under_way[transfer] = request
        stages = self._write(request) if request.what == "write" else self._read(request)
        transfer.begin(stages, self._ended)
        return transfer

    def _give_up(self, seconds: float) -> None:
        super()._give_up(seconds)
        self._under_way.clear()

    def _release(self) -> None:
        is_stalled = self.stalled is not None or not all(
            pieces.wait(self._watch.deadline) for pieces in self._moving
        )
        self._helper.submit(self._file.close)
        self._helper.close(wait=not is_stalled)
        if not self._duplicate:  # freed already
            return
        if any(self._duplicate.allgather(is_stalled)):
            keep_for_ever(self._mpi, self._duplicate, self._moving)
            atexit.register(_leave, self._duplicate)
        else:
            if self._mpi:
                self._mpi.Close()
            self._duplicate.Free()

    # -- the stages of a transfer -------------------------------------------------------------

    def _write(self, request: Request) -> _Stages:
        file, row, block = self._file, request.row, request.block
        file.prepare_write(row, block.bytes.size)
        self._meter.begin("write")
        entry = self._helper.submit(file.vouch, block, request.step, request.sequence, request.cost)
        moved = self._posted(self._mpi.Iwrite_at, row, block)
        # Both use the block, so both must have ended before either may fail the transfer.
        moved_at = yield moved
        self._meter.end("write", max(moved_at, (yield entry)))
        moved.result()
        indexed = self._helper.submit(file.finish_write, row, entry.result())
        yield indexed
        indexed.result()

    def _read(self, request: Request) -> _Stages:
        file, row, block = self._file, request.row, request.block
        file.prepare_read(row, request.step, block.bytes.size)
        self._meter.begin("read")
        moved = self._posted(self._mpi.Iread_at, row, block)
        self._meter.end("read", (yield moved))
        moved.result()
        verified = self._helper.submit(file.finish_read, row, block)
        yield verified
        verified.result()

    # -- inside -------------------------------------------------------------------------------

    def _posted(self, post: Callable[[int, Any], MPI.Request], row: int, block: Block) -> "_Pieces":
        """Post what moves one block. Closing waits for it, also if a signal comes between."""
        self._moving = [pieces for pieces in self._moving if not pieces.done]
        moved = _Pieces(block)
        self._moving.append(moved)
        moved.post(post, self._file.placement.offset(row))
        return moved

    def _settle_conflicts(self, request: Request) -> None:
        """Wait for transfers that MPI must not carry out at the same time as this one."""
        for transfer, other in tuple(self._under_way.items()):
            reads = "read" in (request.what, other.what)
            if other.row == request.row or (other.block is request.block and reads):
                transfer.settle()

    def _ended(self, transfer: "_MpiTransfer", error: Exception | None) -> None:
        self._end(transfer, error)
        del self._under_way[transfer]


class _MpiTransfer(Transfer):
    """A transfer that passes from stage to stage when it is called and the stage is done."""

    def begin(
        self, stages: _Stages, ended: Callable[["_MpiTransfer", Exception | None], None]
    ) -> None:
        """Start; `ended` is called when the transfer has ended, with its error."""
        self._stages = stages
        self._stage: _Stage | None = None
        self._tested = self.began
        """When the stage was last seen not to be done."""
        self._ended = ended
        self._over = False
        self._pass(None)
        self.go_on()

    @property
    def done(self) -> bool:
        if not (self._over or self.is_overdue):
            self.go_on()
        return self._over

    def go_on(self) -> None:
        """Pass every stage that is done."""
        now = time.perf_counter()
        while self._stage is not None:
            if not self._stage.done:
                self._tested = now
                return
            self._pass((self._tested + now) / 2)

    def _pause(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while self._stage is not None:
            if not self._stage.wait(until - time.perf_counter()):
                return
            self._pass(time.perf_counter())

    def _pass(self, at: float | None) -> None:
        """Go to the next stage; `at` is when this one ended, None before the first."""
        try:
            self._stage = self._stages.send(at)
        except StopIteration:
            self._end(None)
        except Exception as error:  # of whatever kind: the transfer carries it to the caller
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        self._over = True
        self._stage = None
        self._ended(self, error)


class _Pieces:
    """The MPI requests that move one block.

    They are tested one by one: `Testall` on file requests of which only some are complete is an
    error in MPICH 5.0.2.
    """

    def __init__(self, block: Block) -> None:
        self._error: MPI.Exception | None = None
        self._under_way: list[tuple[MPI.Request, int]] = []
        self._status = MPI.Status()
        self._block = block
        self._missing = 0

    def post(self, post: Callable[[int, Any], MPI.Request], offset: int) -> None:
        """Post the requests, by `post(offset, buffer)`."""
        starts = range(0, self._block.bytes.size, MAX_CALL_BYTES)
        pieces = [self._block.bytes[start : start + MAX_CALL_BYTES] for start in starts]
        offsets, sizes = [offset + start for start in starts], [piece.size for piece in pieces]
        buffers = [[piece, piece.size, MPI.BYTE] for piece in pieces]
        try:
            # One call of C: no signal comes between a request and its place in the list.
            self._under_way.extend(zip(map(post, offsets, buffers), sizes, strict=True))
        except MPI.Exception as error:
            self._error = error

    @property
    def done(self) -> bool:
        self._under_way = [
            (request, size)
            for request, size in self._under_way
            if not self._has_ended(request, size)
        ]
        return not self._under_way

    def wait(self, seconds: float) -> bool:
        until, naps = time.perf_counter() + seconds, 0
        while not self.done:
            if time.perf_counter() > until:
                return False
            time.sleep(_nap(naps))
            naps += 1
        return True

    def result(self) -> None:
        """Raise unless every byte was moved. To be called once they are done."""
        if self._error is not None:
            raise self._error
        if self._missing:
            raise OSError(errno.EIO, f"MPI moved {self._missing} bytes too few, without an error")

    def _has_ended(self, request: MPI.Request, size: int) -> bool:
        status = self._status
        try:
            if not (request.Test if CAN_COMPLETE_FAILURES else request.Get_status)(status):
                return False
            missing = size - status.Get_count(MPI.BYTE)
            if not CAN_COMPLETE_FAILURES:
                self._complete(request, failed=missing != 0)
        except MPI.Exception as error:
            self._error = error
        else:
            self._missing += missing
        return True

    def _complete(self, request: MPI.Request, *, failed: bool) -> None:
        """Release a request that has ended, or never if it has failed."""
        if failed:
            self._block.is_lost = True
            keep_for_ever(request, self._block)
        else:
            request.Wait()


def _nap(number: int) -> float:
    """Return the seconds between two tests of a request that is waited for."""
    doublings = min(10, number - NUM_YIELDS)
    return 0.0 if doublings < 0 else min(LONGEST_NAP_SECONDS, SHORTEST_NAP_SECONDS * 2**doublings)


def _leave(comm: MPI.Comm) -> None:
    """Bound the time that finalizing MPI may take, from when all ranks have nothing else to do."""
    if not MPI.Is_finalized():
        comm.Barrier()
        end_soon()


def _open_on_all_ranks(comm: Communicator, placement: Placement) -> RankFile:
    """Open this rank's rows; if any rank cannot, raise on all."""

    def open_rows() -> RankFile:
        if not placement.reservable:
            raise SnapshotFileError(
                f"the file system of {placement.path} cannot reserve space, and there nonblocking "
                'MPI I/O cannot report a full disk: use engine="thread"'
            )
        file = RankFile(placement)
        try:
            _try_to_open(placement.path)
        except OSError:
            file.close()
            raise
        return file

    failing = f"cannot open {placement.path}"
    return on_all_ranks(open_rows, comm, failing=failing, undo=RankFile.close)


def _try_to_open(path: str) -> None:
    """Raise `OSError` where MPI could not open the file: some libraries hang if one rank cannot."""
    with ExitStack() as opened:
        for _ in range(SPARE_DESCRIPTORS):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
