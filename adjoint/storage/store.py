"""The snapshots in a file, by step: the row of each, and the transfer under way for it.

Pieces of tapes are kept in the same way, by `adjoint.storage.row_keys.piece_key` in place of the
step.

The engine moves bytes, the snapshot file says where to; the store is what a sweep calls. All ranks
make the same calls in the same order. So, without communicating, they use the same rows and give
each write the same number, by which they can refer to it.
"""

import errno
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import nan

from adjoint.closing import Closing
from adjoint.errors import NonFiniteError, ScheduleError, SnapshotFileError, TransferError
from adjoint.parallel import Communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.base import Engine
from adjoint.storage.engines.registry import open_engine
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.engines.transfer import Statistics, Transfer
from adjoint.storage.row_keys import described, first_step
from adjoint.storage.snapshot_file import Recalled, SnapshotFile

__all__ = ["FailedWrites", "FileStore"]

LOG = logging.getLogger("adjoint")

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True)
class FailedWrites:
    """Writes of this rank that were found to have failed."""

    numbers: list[int]
    """Numbers of those whose states have not been discarded since."""
    is_full: bool = False
    """Whether one of them failed for lack of disk space."""
    error: Exception | None = None
    """An error that must be raised: a state is not finite."""


class FileStore(Closing):
    """The snapshots of consecutive sweeps in one file. Owns the file and the engine.

    Only `close` and `replace_engine` are collective. A state that could not be given a row has row
    -1. `deadline` is the one that the engine was given, for those that replace it.
    """

    def __init__(self, file: SnapshotFile, engine: Engine, deadline: float | None = None) -> None:
        self.file = file
        self.engine = engine
        self.engine_failure = ""
        """Why the engine is not the first one, or none is used any more; empty otherwise."""
        self.ordinal = 1
        """Of the engine: 1, and one more whenever it was replaced."""
        self.peak_states = 0
        """Largest number of states in the file at once."""
        self.writes = 0
        """Calls of `offload` so far; the number of a write is its value after the call."""
        self.posted = 0
        """Number of the last write passed to the engine: a file's numbers go on from its last."""
        self.observer: Callable[[str, int, float, float], None] | None = None
        """Called after each wait for a transfer, with "Write" or "Read", step, start and end."""
        self.moves_pieces = False
        """Whether what was posted last was a piece of a tape, and not a state."""
        self.costs: Mapping[int, float] = {}
        """This rank's running total up to states that were recalled: those that all ranks know."""
        self._rows: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._steps: dict[int, int] = {}
        self._transfers: dict[int, Transfer] = {}
        self._without_row: list[int] = []
        self._before = Statistics()
        """Of engines that have been replaced."""
        self._deadline = deadline
        self._evaluation = 0

    def __contains__(self, step: int) -> bool:
        return step in self._rows

    def __len__(self) -> int:
        """The number of states in the file."""
        return sum(step >= 0 for step in self._rows)

    def __iter__(self) -> Iterator[int]:
        """Yield the steps whose states are in the file, in ascending order."""
        return iter(sorted(step for step in self._rows if step >= 0))

    @property
    def rows_in_use(self) -> int:
        """States in the file, and pieces of tapes."""
        return len(self._rows)

    def tapes(self, pieces: int) -> list[int]:
        """Return the first steps of the tapes that are complete, in ascending order.

        That is, of which so many `pieces` are in the file.
        """
        found = Counter(first_step(key) for key in self._rows if key < 0)
        return sorted(start for start, count in found.items() if count == pieces)

    def keys_from(self, start: int) -> list[int]:
        """Return what the file has from step `start` on: steps of states, and keys of pieces."""
        return [key for key in self._rows if first_step(key) >= start]

    def end_writes(self) -> None:
        """Forget writes that are done, the oldest first, up to one that is not. Never blocks.

        What failed is left to `failed_writes`.
        """
        while self._transfers:
            step, transfer = next(iter(self._transfers.items()))
            if transfer.what != "write" or not transfer.done:
                return
            del self._transfers[step]
            self._observe(step, transfer)

    @property
    def statistics(self) -> Statistics:
        """A copy of the sums over all transfers up to now."""
        return self._before + self.engine.statistics

    def begin_evaluation(self, evaluation: int, recalled: Recalled | None = None) -> None:
        """Begin an evaluation: empty, or with the states of it that were recalled from the file."""
        if recalled is not None:
            self._rows = dict(recalled.rows)
            self.posted = recalled.writes
        self.costs = {} if recalled is None else recalled.costs
        self._evaluation = evaluation
        entries = {} if recalled is None else recalled.entries
        self.engine.begin_evaluation(evaluation, entries, self.posted)

    def offload(self, step: int, block: Block, cost: float = nan) -> None:
        """Post the write of `block`, which must not change until it has ended, as state `step`.

        `cost` is this rank's running total up to `step`. If no row is left because others have been
        retired, this write counts as failed.
        """
        if step in self._rows:
            raise ScheduleError(f"{described(step)} is in the file already")
        self.writes += 1
        self.moves_pieces = step < 0
        row = self.file.take_row() if self.file.has_room else -1
        self._rows[step] = row
        self._numbers[step] = self.writes
        self._steps[self.writes] = step
        self.peak_states = max(self.peak_states, len(self._rows))
        if row < 0:
            self._without_row.append(self.writes)
        else:
            self.posted += 1
            self._transfers[step] = self.engine.write(row, block, step, cost)

    def prefetch(self, step: int, block: Block) -> None:
        """Post the read of state `step` into `block`, after waiting for its write.

        Raises
        ------
        TransferError, NonFiniteError
            The write failed: nothing is read.
        """
        self.moves_pieces = step < 0
        self.wait(step)
        if self._rows[step] < 0:
            raise TransferError(f"{described(step)} was never written: no row of the file was left")
        self._transfers[step] = self.engine.read(self._rows[step], block, step)

    def wait(self, step: int) -> None:
        """Wait for the transfer of state `step`, if there is one under way.

        Raises
        ------
        TransferError
            The transfer failed, or the data read are not those that were written.
        NonFiniteError
            The state that was to be written is not finite.
        """
        transfer = self._transfers.pop(step, None)
        if transfer is None:
            return
        transfer.wait()
        self._observe(step, transfer)

    def discard(self, step: int) -> None:
        """Remove state `step` and free its row, after waiting for its transfer.

        If the transfer failed, that is ignored.

        Raises
        ------
        NonFiniteError
            The state that was to be written is not finite.
        """
        try:
            self.wait(step)
        except TransferError:
            pass  # the state is not needed any more
        finally:
            self._remove(step, self.file.give_back_row)

    def forget(self, step: int) -> None:
        """Remove state `step`, which could not be written or read; its row is not used again."""
        transfer = self._transfers.pop(step, None)
        if transfer is not None:
            transfer.settle()
            transfer.reported = True
        self._remove(step, self.file.retire_row)

    def failed_writes(self) -> FailedWrites:
        """Return the writes of this rank found to have failed since the last call. Never blocks."""
        found = FailedWrites([n for n in self._without_row if n in self._steps])
        self._without_row.clear()
        for transfer in self.engine.take_failed():
            if isinstance(transfer.error, NonFiniteError):
                found.error = transfer.error
            if transfer.what != "write":
                continue
            is_full = getattr(transfer.error, "errno", None) in NO_SPACE
            found.is_full = found.is_full or is_full
            if self._rows.get(transfer.step) == transfer.row and transfer.step in self._numbers:
                found.numbers.append(self._numbers[transfer.step])
        return found

    def steps_of(self, first: int, last: int) -> list[int]:
        """Return the steps of writes `first` to `last` whose states are still in the store."""
        return [self._steps[n] for n in range(first, last + 1) if n in self._steps]

    def has_row(self, step: int) -> bool:
        """Return whether state `step` of the store was given a row."""
        return self._rows[step] >= 0

    def settle_all(self) -> None:
        """Wait for every transfer under way, leaving errors to `failed_writes`."""
        for transfer in self._transfers.values():
            transfer.settle()
            transfer.reported = True
        self._transfers.clear()

    def settle(self) -> Exception | None:
        """Wait for every transfer under way; return the first error among them."""
        errors: list[Exception] = []
        for step in list(self._transfers):
            try:
                self.wait(step)
            except Exception as error:  # for all ranks to agree on
                errors.append(error)
        return errors[0] if errors else None

    def clear(self) -> Exception | None:
        """Remove every state; return the first error of the transfers that were under way."""
        error = self.settle()
        for step in list(self._rows):
            self._remove(step, self.file.give_back_row)
        self.engine.take_failed()
        return error

    @property
    def stalled(self) -> int:
        """Ordinal of the engine if it is stalled on this rank, and not replaced; 0 otherwise."""
        return self.ordinal if self.engine.stalled and self.file.usable_rows else 0

    def replace_engine(self, comm: Communicator) -> bool:
        """Replace an engine that is stalled on some rank; return whether there is one to use.

        A transfer thread takes over from any other kind of engine. If that was one already, no
        state is stored any more. Collective on `comm`. The store must be empty, and no transfer
        under way, but overdue ones.
        """
        is_thread = isinstance(self.engine, ThreadEngine)
        ranks = comm.gather((self.engine.stalled, is_thread))
        stalls = [stall for stall, _ in ranks if stall is not None]
        self.ordinal += 1
        self.engine.take_failed()
        self.file.exclude(row for stall in stalls for row in stall.rows)
        engine = None
        if not any(is_thread for _, is_thread in ranks):
            with suppress(SnapshotFileError):
                engine = open_engine(self.file.placement, comm, "thread")
        what = "in memory" if engine is None else f"with {engine.name}"
        self.engine_failure = f"{stalls[0].reason}; the run goes on {what}"
        if comm.rank == 0:
            LOG.warning("%s", self.engine_failure)
        if engine is None:
            self.file.exclude(range(self.file.placement.rows))
            return False
        self._before = self.statistics
        self.engine.close()
        self.engine = engine
        engine.give_up_after(self._deadline)
        engine.begin_evaluation(self._evaluation, {}, self.posted)
        return True

    def close(self) -> None:
        """Close the engine, then the file. Collective on the file's communicator.

        A transfer that fails meanwhile is no error: no state is needed any more.

        Raises
        ------
        NonFiniteError
            A state that was to be written is not finite.
        """
        self.settle_all()
        error = self.failed_writes().error
        try:
            self.engine.close()
        finally:
            self.file.close()
        if error is not None:
            raise error

    def _observe(self, step: int, transfer: Transfer) -> None:
        if self.observer is not None:
            at = first_step(step)
            self.observer(transfer.what.capitalize(), at, transfer.began, transfer.ended)

    def _remove(self, step: int, with_row: Callable[[int], None]) -> None:
        number = self._numbers.pop(step, None)
        if number is not None:
            del self._steps[number]
        row = self._rows.pop(step)
        if row >= 0:
            with_row(row)
