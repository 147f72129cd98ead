"""The journal of a run: records from which it can be resumed after a kill, on all ranks.

A record (`adjoint.storage.journal_file`) holds the live state of the forward sweep, or the adjoint
and the gradients of the reverse sweep. Each rank writes its part, then all ranks agree that every
part is written. Records alternate between two places, so that one of them is whole on all ranks
whenever the job is killed.

A kill loses at most a given share of the time that the run has taken so far: a run of length ``T``
has about ``log(T) / share`` records. It has fewer where a record takes long, so that records take
at most one part in `MIN_GAP` of the run.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.parallel import Communicator
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper
from adjoint.storage.checksums import RunningChecksum, first_non_finite
from adjoint.storage.file_format import RowField
from adjoint.storage.journal_file import BEGUN, FORWARD, REVERSE, JournalFile, RecordHeader
from adjoint.storage.state_layout import StateLayout

__all__ = ["Journal", "SavedRecord", "hash_of"]

MIN_GAP = 200
"""Least time between two records, as a multiple of the time that the slowest one took: half a per
cent of the run."""

CHUNK_BYTES = 1 << 22
"""Arrays that are not in memory (memory maps, HDF5 datasets) are read and written in such parts."""


@dataclass(frozen=True, slots=True)
class SavedRecord:
    """A record of the journal that is whole on all ranks."""

    record: int
    """Which of the two places it is in."""
    number: int
    """Ordinal of the record, starting at 1."""
    header: RecordHeader
    """The header of this rank's part."""


class Journal:
    """The journal of one stepper's runs. Collective on `comm`, unless a method says otherwise.

    If the file cannot be written, the journal ends and the run continues: `failure` says why.

    Parameters
    ----------
    file
        This rank's part of the journal; closed by `close`.
    stepper, comm
        The computation and its ranks.
    share
        Largest share of a run's time so far that a kill may lose.
    """

    def __init__(
        self, file: JournalFile, stepper: Stepper, comm: Communicator, *, share: float
    ) -> None:
        self.failure: str | None = None
        """Why the journal has ended; None if it has not."""
        self.records = 0
        """Records written in this run."""
        self.seconds = 0.0
        """Time that writing them took, on this rank."""
        self.seconds_before = 0.0
        """Duration of the runs that this one resumes."""
        self.observer: Callable[[str, int, float, float], None] | None = None
        """Called after every record with "Journal", its step, and when it began and ended."""
        self._file = file
        self._stepper = stepper
        self._capabilities = Capabilities.of(stepper)
        self._comm = comm
        self._share = share
        self._number = 0
        self._header = RecordHeader(BEGUN, 0, None, 0.0, "", 0, 0.0)
        """The header of the last record."""
        self._saved_at = 0.0
        """Seconds into the run at which the last record was written."""
        self._longest = 0.0
        """Seconds that the slowest record took, on the slowest rank."""
        self._rows_from: int | None = None
        """First row of the gradients of per-step controls that is written; None if none is."""
        self._accepted = 0
        """Accepted steps that are written."""
        self._accepted_failure: str | None = None
        """Why accepted steps could not be written: raised with the next record."""

    def close(self) -> None:
        """Close the file. Not collective."""
        self._file.close()

    # -- writing --------------------------------------------------------------------------------

    def begin(
        self, controls: str, first_sequence: int, plan: Mapping[str, Any], found: SavedRecord | None
    ) -> None:
        """Begin a run: afresh, or from the record that was found.

        Parameters
        ----------
        controls
            Hash of the controls, see `hash_of`.
        first_sequence
            Sequence number of the run's first write to the file.
        plan
            What a resumed run need not measure again; values that JSON can hold.
        found
            The record to resume from; None to begin afresh.
        """
        self.records, self.seconds, self._longest = 0, 0.0, 0.0
        self._rows_from = None
        self._accepted = 0
        self.seconds_before = self._saved_at = 0.0 if found is None else found.header.seconds
        if found is not None:
            self._header = replace(found.header, plan=dict(plan))
            self._rows_from = found.header.step if found.header.phase == REVERSE else None
            return
        self._header = RecordHeader(
            BEGUN, 0, None, 0.0, controls, first_sequence, 0.0, plan=dict(plan)
        )
        self._write(self._header, [])

    def start_afresh(self) -> None:
        """Forget the record that was found: the run cannot be resumed. Not collective."""
        self._header = replace(self._header, phase=BEGUN, step=0, rows_checksum=0)
        self._rows_from = None

    def due(self, elapsed: float) -> bool:
        """Return whether a record is due, `elapsed` seconds into the run. Not collective."""
        gap = max(self._share * self._saved_at, MIN_GAP * self._longest)
        return self.failure is None and elapsed - self._saved_at > gap

    def save_forward(self, step: int, cost: float, elapsed: float) -> None:
        """Write the live state, at `step`; `cost` is this rank's running total up to there."""
        self.save_accepted()
        header = replace(
            self._header,
            phase=FORWARD,
            step=step,
            cost=cost,
            seconds=elapsed,
            accepted=self._accepted,
        )
        self._write(header, _placed(0, self._file.layout.state, self._stepper.state))

    def save_reverse(self, step: int, num_steps: int, cost: float, elapsed: float) -> None:
        """Write the adjoint, at `step`, and the gradients; `cost` is this rank's whole cost."""
        self.save_accepted()
        layout, stepper = self._file.layout, self._stepper
        header = replace(
            self._header,
            phase=REVERSE,
            step=step,
            num_steps=num_steps,
            cost=cost,
            seconds=elapsed,
            accepted=self._accepted,
            rows_checksum=self._save_rows(step),
        )
        adjoint = _placed(0, layout.adjoint, stepper.adjoint)
        gradients = _placed(layout.gradients_start, layout.gradients, stepper.accumulators)
        self._write(header, [*adjoint, *gradients])

    def save_accepted(self) -> None:
        """Write the accepted steps that are new. Not collective: rank 0 does it."""
        accepted = self._capabilities.accepted_steps
        if accepted is None or not self._file.placement.accepted_steps:
            return
        if self._comm.rank == 0 and self._accepted_failure is None:
            try:
                self._file.write_accepted(self._accepted, accepted[self._accepted :])
            except OSError as error:
                self._accepted_failure = f"could not write the accepted steps: {error}"
        self._accepted = len(accepted)

    # -- finding --------------------------------------------------------------------------------

    def find(self) -> SavedRecord | None:
        """Return the latest record that is whole on all ranks; None if there is none."""
        best: SavedRecord | None = None
        for record in range(len(self._file.placement.records)):
            read = self._file.read(record) if self._file.is_whole(record) else None
            numbers = set(self._comm.gather(0 if read is None else read[0]))
            if read is not None and len(numbers) == 1 and (best is None or read[0] > best.number):
                best = SavedRecord(record, *read)
        self._number = 0 if best is None else best.number
        return best

    def load_state(self, found: SavedRecord, arrays: Arrays) -> None:
        """Fill the arrays of a state from a record of the forward sweep. Not collective."""
        for offset, array in _placed(0, self._file.layout.state, arrays):
            self._file.load(found.record, offset, array)

    def load_reverse(self, found: SavedRecord) -> bool:
        """Fill the stepper's adjoint and gradients from a record of the reverse sweep.

        Returns whether the checksum of all rows in ``/gradients`` is that of the record.
        """
        layout, stepper = self._file.layout, self._stepper
        for offset, array in _placed(0, layout.adjoint, stepper.adjoint):
            self._file.load(found.record, offset, array)
        for field in layout.gradients.fields:
            gradient = np.empty(field.shape, field.dtype)
            self._file.load(found.record, layout.gradients_start + field.offset, gradient)
            stepper.accumulators[field.name][...] = gradient
        total = sum(self._load_rows(field, found.header.step) for field in layout.rows)
        return all(self._comm.gather(total % (1 << 64) == found.header.rows_checksum))

    def accepted_steps(self, count: int) -> NDArray[np.float64]:
        """Return the first `count` accepted steps of the run that is resumed. Not collective."""
        self._accepted = count
        return self._file.read_accepted(count)

    # -- inside ---------------------------------------------------------------------------------

    def _write(self, header: RecordHeader, arrays: list[tuple[int, NDArray[Any]]]) -> None:
        """Write the next record; afterwards it is whole on all ranks, or the journal has ended.

        Nothing is written if a value is not finite on any rank: no later run could make it so.
        """
        if self.failure is not None or not self._is_finite(header.cost, arrays):
            return
        began, failure = time.perf_counter(), self._accepted_failure
        try:
            if failure is None:
                self._file.write(self._number + 1, header, arrays)
        except OSError as error:
            failure = f"rank {self._comm.rank} could not write the journal: {error}"
        taken = self._agree(failure, time.perf_counter() - began)
        self._number += 1
        self._header = header
        self._saved_at = header.seconds
        self._longest = max(self._longest, taken)
        self.records += 1
        ended = time.perf_counter()
        self.seconds += ended - began
        if self.observer is not None:
            self.observer("Journal", header.step, began, ended)

    def _is_finite(self, cost: float, arrays: list[tuple[int, NDArray[Any]]]) -> bool:
        """Return whether cost and arrays are finite on all ranks. Collective."""
        named = {str(offset): array for offset, array in arrays}
        return all(self._comm.gather(math.isfinite(cost) and first_non_finite(named) is None))

    def _agree(self, failure: str | None, seconds: float = 0.0) -> float:
        """End the journal if a rank has a failure; return the longest of the ranks' times."""
        ranks = self._comm.gather((failure, seconds))
        self.failure = next((failure for failure, _ in ranks if failure), self.failure)
        return max(seconds for _, seconds in ranks)

    def _save_rows(self, step: int) -> int:
        """Write the rows that have become final, from `step` on; return the checksum of all."""
        total, failure = self._header.rows_checksum, None
        try:
            for field in self._file.layout.rows:
                stop = min(field.rows, field.rows if self._rows_from is None else self._rows_from)
                for start in range(step, stop, rows := _rows_at_once(field)):
                    gradient = self._stepper.accumulators[field.name]
                    part = np.asarray(gradient[start : min(start + rows, stop)])
                    total += self._file.write_rows(field, start, part)
        except OSError as error:
            failure = f"rank {self._comm.rank} could not write gradients: {error}"
        if self._file.layout.rows:
            self._agree(failure)
        self._rows_from = step
        return total % (1 << 64)

    def _load_rows(self, field: RowField, first: int) -> int:
        """Fill the rows of a gradient from `first` on; return the sum of their checksums."""
        gradient = self._stepper.accumulators[field.name]
        total = 0
        for start in range(first, field.rows, rows := _rows_at_once(field)):
            part = np.empty_like(np.asarray(gradient[start : start + rows]))
            total += self._file.read_rows(field, start, part)
            gradient[start : start + rows] = part
        return total


def hash_of(arrays: Mapping[str, Any]) -> str:
    """Return a hash of names and values of arrays, in hexadecimal; HDF5 datasets are arrays too."""
    running = RunningChecksum()
    for name in sorted(arrays):
        array = arrays[name]
        running.update(np.frombuffer(name.encode(), np.uint8))
        for part in _parts(array):
            running.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
    return f"{running.value:016x}"


def _parts(array: Any) -> Iterator[NDArray[Any]]:
    """Yield an array in parts that fit in memory; whole if it is there already."""
    if array.ndim == 0 or type(array) is np.ndarray:
        yield np.asarray(array)
        return
    row_bytes = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=int)))
    rows = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, array.shape[0], rows):
        yield np.asarray(array[start : start + rows])


def _rows_at_once(field: RowField) -> int:
    return max(1, CHUNK_BYTES // max(1, field.row_bytes))


def _placed(
    start: int, layout: StateLayout, arrays: Mapping[str, Any]
) -> list[tuple[int, NDArray[Any]]]:
    """Return the arrays of a layout that begins at byte `start` of a record, with their offsets."""
    return [(start + field.offset, np.asarray(arrays[field.name])) for field in layout.fields]
