"""The seam between a sweep and the disk: engines move states between blocks and rows of a file.

The contract of an engine
-------------------------
*In the background.* `Engine.write` and `Engine.read` return a `Transfer` as soon as it is posted,
and the computation goes on. Until the transfer has ended the block belongs to it: the caller does
not modify the block and, during a read, does not look at it.

*Order.* Transfers of the same row, and a read and another transfer of the same block, are carried
out in the order in which they were posted; all others in any order.

*Deadlines.* No wait is without an end. An engine that finds a transfer overdue
(`adjoint.storage.engines.deadline`) gives up all that are under way. From then on it is *stalled*:
whatever is posted fails at once. The sweep replaces it, on all ranks.

*Errors.* Posting raises only for a call that could never be right, such as a row that does not
exist. Whatever the disk reports is stored in the transfer and raised by `Transfer.wait`; if nobody
waited, by `Engine.close`. No error is lost, and a transfer that failed does not stop the others.

*What is written can be trusted.* A write clears the row's index entry and reserves disk space (a
full disk shows there), refuses values that are not finite, computes a checksum, writes the data,
and last writes the entry. A read checks the row's entry, reads the data, and compares their
checksum. An engine reads only what it wrote itself, or what `begin_evaluation` has named.

*Threads and ranks.* The thread that made an engine is the only one to call it. Its calls are not
collective, except opening and closing if the engine says so.

How to write one
----------------
`RankFile` has each step of a write and of a read as a method that blocks. Where only the bytes move
in another way, derive from it, and pass the file to `ThreadEngine`; where transfers are carried out
in another way, derive from `RowEngine`. The how-to page *Add a storage engine* in the documentation
shows both.
"""

import errno
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from adjoint.closing import Closing
from adjoint.storage.blocks import Block
from adjoint.storage.engines.deadline import Watch
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.transfer import Direction, Meter, Statistics, Transfer
from adjoint.storage.index import Entry
from adjoint.storage.row_keys import described

__all__ = ["Engine", "Request", "RowEngine", "Stall"]


@dataclass(frozen=True, slots=True)
class Stall:
    """Why an engine takes no other transfer."""

    reason: str
    """A sentence."""
    rows: frozenset[int]
    """The rows that its overdue transfers may still write."""


class Engine(Protocol):
    """Moves one rank's states to and from one file. The module states the contract."""

    @property
    def name(self) -> str:
        """What a report calls it: a noun phrase, such as "a transfer thread"."""
        ...

    @property
    def uses_page_cache(self) -> bool:
        """Whether data pass through the operating system's page cache, as far as is known.

        If they do, a measured speed may be that of memory: an upper bound on that of the disk.
        """
        ...

    @property
    def statistics(self) -> Statistics:
        """A copy of the sums over its transfers up to now, including those under way."""
        ...

    @property
    def stalled(self) -> Stall | None:
        """Why it takes no other transfer; None as long as it does."""
        ...

    def give_up_after(self, seconds: float | None) -> None:
        """Set the time after which a transfer is overdue; None for the default rule."""
        ...

    def write(self, row: int, block: Block, step: int, cost: float = math.nan) -> Transfer:
        """Post the write of a block, which holds the state at `step`, to a row.

        `cost` is this rank's running total up to `step`, from which a resumed run continues.

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

    def begin_evaluation(self, evaluation: int, entries: Mapping[int, Entry], writes: int) -> None:
        """Name the evaluation that writes from now on, and what the file has of it.

        `entries` are valid ones of an earlier run, by row; `writes` is the last one's number.
        """
        ...

    def take_failed(self) -> list[Transfer]:
        """Return the transfers found to have failed or overdue since the last call. Never blocks.

        The caller has to deal with them: `close` will not raise their errors.
        """
        ...

    def progress(self) -> None:
        """Advance the transfers that need the caller's thread for it. Cheap: call it often."""
        ...

    def close(self) -> None:
        """Finish every transfer that was posted, or give it up; release the file. Idempotent.

        Raises
        ------
        TransferError, NonFiniteError
            A transfer failed and nobody waited for it. Everything is released nevertheless.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A transfer to be posted."""

    what: Direction
    row: int
    block: Block
    step: int
    sequence: int = 0
    """Of a write: its ordinal in the run, starting at 1."""
    cost: float = math.nan
    """Of a write: this rank's running total of the cost up to `step`."""

    @property
    def identity(self) -> tuple[Direction, int, int, int]:
        """The first arguments of a `Transfer`: direction, row, step and bytes."""
        return self.what, self.row, self.step, self.block.layout.nbytes


class RowEngine(Engine, Closing, ABC):
    """What engines share: ordinals of writes, statistics, failures, and closing.

    A subclass implements `name`, `_post` and `_release`.

    Parameters
    ----------
    file
        The rows of this rank; the engine's to close.
    """

    def __init__(self, file: RankFile) -> None:
        self._file = file
        self._meter = Meter()
        place = file.placement
        self._watch = Watch(
            max(layout.moved_bytes for layout in place.layouts), place.rank, self._give_up
        )
        self._failed: deque[Transfer] = deque()
        self._stalled: Stall | None = None
        self._closed = False

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def uses_page_cache(self) -> bool:
        return self._file.uses_page_cache

    @property
    def statistics(self) -> Statistics:
        return self._meter.read()

    @property
    def stalled(self) -> Stall | None:
        return self._stalled

    def give_up_after(self, seconds: float | None) -> None:
        self._watch.given = seconds

    def write(self, row: int, block: Block, step: int, cost: float = math.nan) -> Transfer:
        self._file.placement.require(row)
        self._file.writes += 1
        return self._begin(Request("write", row, block, step, self._file.writes, cost))

    def read(self, row: int, block: Block, step: int) -> Transfer:
        self._file.placement.require(row)
        return self._begin(Request("read", row, block, step))

    def begin_evaluation(self, evaluation: int, entries: Mapping[int, Entry], writes: int) -> None:
        self._file.begin_evaluation(evaluation, entries, writes)

    def take_failed(self) -> list[Transfer]:
        self._watch.poll()
        failed: list[Transfer] = []
        # One by one: a transfer thread may be appending.
        while self._failed:
            failed.append(self._failed.popleft())
            failed[-1].reported = True
        return failed

    def progress(self) -> None:
        pass

    def close(self) -> None:
        if self._closed:
            return
        for transfer, _ in tuple(self._watch.transfers):
            transfer.settle()
        self._release()
        self._closed = True
        for transfer in self._failed:
            if not transfer.reported:
                transfer.wait()

    # -- what a subclass implements -----------------------------------------------------------

    @abstractmethod
    def _post(self, request: Request) -> Transfer:
        """Start a transfer and return it."""

    @abstractmethod
    def _release(self) -> None:
        """Close the file, also if that was begun and interrupted before.

        Each transfer has ended, unless the engine is stalled (see `deadline`), or a signal has cut
        short the call that posted it.
        """

    # -- what a subclass calls ----------------------------------------------------------------

    def _carry_out(self, request: Request, transfer: Transfer) -> None:
        """Do all steps of a transfer, one after the other. In any thread."""
        if transfer.is_overdue:
            return  # it was behind another one that did not end
        failure = None
        self._meter.begin(request.what)
        try:
            self._move(request)
        except Exception as error:  # of whatever kind: the transfer carries it to the caller
            failure = error
        if not transfer.is_overdue:
            self._meter.end(request.what, time.perf_counter())
            self._end(transfer, failure)

    def _end(self, transfer: Transfer, error: Exception | None) -> None:
        """Record that a transfer has ended, and how. The last that happens to it; in any thread."""
        if error is not None:
            transfer.error = self._file.failure(transfer.what, transfer.row, transfer.step, error)
            self._failed.append(transfer)
        self._meter.over(transfer.what, 0 if error else transfer.nbytes)
        transfer.ended = time.perf_counter()

    # -- inside -------------------------------------------------------------------------------

    def _begin(self, request: Request) -> Transfer:
        began = time.perf_counter()
        self._watch.poll()
        if self._stalled is not None:
            return self._refused(request)
        transfer = self._post(request)
        request.block.hold(transfer)
        self._watch.add(transfer, request.block)
        self._meter.posted(request.what, time.perf_counter() - began)
        return transfer

    def _refused(self, request: Request) -> Transfer:
        """Return a transfer that has failed, because the engine is stalled."""
        transfer = _Refused(*request.identity, self._meter.figures)
        transfer.error = self._overdue(transfer)
        self._failed.append(transfer)
        return transfer

    def _give_up(self, seconds: float) -> None:
        """Take no other transfer, because the first one under way is overdue."""
        first, rank = self._watch.transfers[0][0], self._file.placement.rank
        reason = (
            f"{self.name} is not used any more: the {first.what} of {described(first.step)} on "
            f"rank {rank} had not ended after {seconds:.3g} s"
        )
        overdue = self._watch.give_up(self._file.identity)
        self._stalled = Stall(reason, frozenset(transfer.row for transfer in overdue))
        for transfer in overdue:
            transfer.error = self._overdue(transfer)
            transfer.is_overdue = True
        self._failed.extend(overdue)
        self._meter.give_up()

    def _overdue(self, transfer: Transfer) -> Exception:
        assert self._stalled is not None
        timeout = TimeoutError(errno.ETIMEDOUT, self._stalled.reason)
        return self._file.failure(transfer.what, transfer.row, transfer.step, timeout)

    def _move(self, request: Request) -> None:
        file, row, block = self._file, request.row, request.block
        if request.what == "write":
            file.prepare_write(row, block.bytes.size)
            entry = file.vouch(block, request.step, request.sequence, request.cost)
            file.write(row, block)
            file.finish_write(row, entry)
        else:
            file.prepare_read(row, request.step, block.bytes.size)
            file.read(row, block)
            file.finish_read(row, block)


class _Refused(Transfer):
    """A transfer that was never started."""

    @property
    def done(self) -> bool:
        return True

    def _pause(self, seconds: float) -> None:
        del seconds
