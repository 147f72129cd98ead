"""What a resumed run needs, on all ranks: written now and then, found again after a kill.

A record of the journal (`adjoint.storage.journal_file`) is the live state in the forward sweep, and
the adjoint with the gradients in the reverse sweep. Ranks write their parts by themselves, then
agree that all have: so the one before may be overwritten by the next but one, and of two records
one is always whole on all ranks, whenever the job is killed.

How often: a kill loses at most a given share of the time that the run has taken so far. So there
are about ``log(T) / share`` records in a run of length T. Only where one record takes long are they
fewer: they take one part in `LEAST_GAP` of the run.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.parallel import Communicator
from adjoint.steppers.protocol import Arrays, Stepper
from adjoint.storage.checksums import RunningChecksum
from adjoint.storage.file_format import RowField
from adjoint.storage.journal_file import BEGUN, FORWARD, REVERSE, JournalFile, RecordHeader
from adjoint.storage.state_layout import StateLayout

__all__ = ["Journal", "SavedRecord", "hash_of"]

LEAST_GAP = 200
"""A record is written at the earliest after so many times what one takes."""

HASHED_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class SavedRecord:
    """A record that all ranks have whole."""

    record: int
    number: int
    note: RecordHeader
    """What this rank's part says."""


class Journal:
    """The journal of one stepper's runs. Every method but `due` is collective on `comm`.

    A file that cannot be written ends the journal, not the run: `failure` says why.

    Parameters
    ----------
    file
        This rank's part; the journal's to close.
    stepper, comm
        What is run, and by whom.
    share
        The share of a run's time so far that a kill may lose.
    """

    def __init__(
        self, file: JournalFile, stepper: Stepper, comm: Communicator, *, share: float
    ) -> None:
        self.failure: str | None = None
        self.records = 0
        """Records written in this run."""
        self.seconds = 0.0
        """What they took."""
        self.observer: Callable[[str, int, float, float], None] | None = None
        """Told of every record: "Journal", its step, beginning and end."""
        self._file = file
        self._stepper = stepper
        self._comm = comm
        self._share = share
        self._number = 0
        self._note = RecordHeader(BEGUN, 0, None, 0.0, "", 0, 0.0)
        self._saved_at = 0.0
        self._longest = 0.0
        self._rows_from: int | None = None
        self._accepted = 0
        self._pending: str | None = None

    def close(self) -> None:
        """Close the file. Not collective."""
        self._file.close()

    # -- writing --------------------------------------------------------------------------------

    def begin(
        self, controls: str, first_sequence: int, plan: Mapping[str, Any], found: SavedRecord | None
    ) -> None:
        """Begin a run: afresh, or from what was found."""
        self.records, self.seconds, self._longest = 0, 0.0, 0.0
        self._rows_from = None
        self._accepted = 0
        if found is not None:
            self._note = replace(found.note, plan=dict(plan))
            self._saved_at = found.note.seconds
            self._rows_from = found.note.step if found.note.phase == REVERSE else None
            return
        self._saved_at = 0.0
        self._note = RecordHeader(
            BEGUN, 0, None, 0.0, controls, first_sequence, 0.0, plan=dict(plan)
        )
        self._write(self._note, [])

    def start_afresh(self) -> None:
        """Take note that nothing can be gone on from after all. Not collective."""
        self._note = replace(self._note, phase=BEGUN, step=0, rows_checksum=0)
        self._rows_from = None

    def due(self, elapsed: float) -> bool:
        """Return whether it is time for a record, so many seconds into the run."""
        gap = max(self._share * self._saved_at, LEAST_GAP * self._longest)
        return self.failure is None and elapsed - self._saved_at > gap

    def save_forward(self, step: int, cost: float, elapsed: float) -> None:
        """Write the live state, which is at `step`."""
        note = replace(self._note, phase=FORWARD, step=step, cost=cost, seconds=elapsed)
        self.save_accepted()
        note = replace(note, accepted=self._accepted)
        self._write(note, _placed(0, self._file.layout.state, self._stepper.state))

    def save_reverse(self, step: int, num_steps: int, cost: float, elapsed: float) -> None:
        """Write the adjoint, which is at `step`, and the gradients; `cost` is the whole one."""
        note = replace(self._note, phase=REVERSE, step=step, num_steps=num_steps, cost=cost)
        self.save_accepted()
        note = replace(note, seconds=elapsed, accepted=self._accepted)
        layout, stepper = self._file.layout, self._stepper
        note = self._save_rows(note, step)
        adjoint = _placed(0, layout.adjoint, stepper.adjoint)
        gradients = _placed(layout.gradients_start, layout.gradients, stepper.accumulators)
        self._write(note, [*adjoint, *gradients])

    def save_accepted(self) -> None:
        """Write the accepted steps that are new. Not collective: rank 0 does it."""
        accepted = getattr(self._stepper, "accepted_steps", None)
        if accepted is None or not self._file.placement.accepted_steps:
            return
        if self._comm.rank == 0 and self._pending is None:
            try:
                self._file.write_accepted(self._accepted, accepted[self._accepted :])
            except OSError as error:
                self._pending = f"could not write the accepted steps: {error}"
        self._accepted = len(accepted)

    # -- finding --------------------------------------------------------------------------------

    def find(self) -> SavedRecord | None:
        """Return the latest record that all ranks have whole; None if there is none."""
        best: SavedRecord | None = None
        for record in range(len(self._file.placement.records)):
            read = self._file.read(record) if self._file.is_whole(record) else None
            numbers = set(self._comm.gather(0 if read is None else read[0]))
            if read is not None and len(numbers) == 1 and (best is None or read[0] > best.number):
                best = SavedRecord(record, *read)
        self._number = 0 if best is None else best.number
        return best

    def load_state(self, found: SavedRecord, arrays: Arrays) -> None:
        """Fill arrays of the state from a record of the forward sweep."""
        for offset, array in _placed(0, self._file.layout.state, arrays):
            self._file.load(found.record, offset, array)

    def load_reverse(self, found: SavedRecord) -> bool:
        """Fill the stepper's adjoint and gradients from a record of the reverse sweep.

        Returns whether all rows of ``/gradients`` are those that the record vouches for.
        """
        layout, stepper = self._file.layout, self._stepper
        for offset, array in _placed(0, layout.adjoint, stepper.adjoint):
            self._file.load(found.record, offset, array)
        for name, field in ((field.name, field) for field in layout.gradients.fields):
            grown = np.empty(field.shape, field.dtype)
            self._file.load(found.record, layout.gradients_start + field.offset, grown)
            stepper.accumulators[name][...] = grown
        total = 0
        for field in layout.rows:
            total += self._load_rows(field, found.note.step)
        return all(self._comm.gather(total % (1 << 64) == found.note.rows_checksum))

    def accepted_steps(self, count: int) -> NDArray[np.float64]:
        """Return the first accepted steps of the run that is resumed."""
        self._accepted = count
        return self._file.read_accepted(count)

    # -- inside ---------------------------------------------------------------------------------

    def _write(self, note: RecordHeader, arrays: list[tuple[int, NDArray[Any]]]) -> None:
        """Write the next record; from then on all ranks have it, or there is no journal."""
        if self.failure is not None:
            return
        began, failure = time.perf_counter(), self._pending
        try:
            if failure is None:
                self._file.write(self._number + 1, note, arrays)
        except OSError as error:
            failure = f"rank {self._comm.rank} could not write the journal: {error}"
        taken = self._agree(failure, time.perf_counter() - began)
        self._number += 1
        self._note = note
        self._saved_at = note.seconds
        self._longest = max(self._longest, taken)
        self.records += 1
        ended = time.perf_counter()
        self.seconds += ended - began
        if self.observer is not None:
            self.observer("Journal", note.step, began, ended)

    def _agree(self, failure: str | None, seconds: float = 0.0) -> float:
        """Note the first rank's failure, if there is one; return the longest of the times."""
        ranks = self._comm.gather((failure, seconds))
        self.failure = next((told for told, _ in ranks if told is not None), self.failure)
        return max(seconds for _, seconds in ranks)

    def _save_rows(self, note: RecordHeader, step: int) -> RecordHeader:
        """Write the rows that have become final; they begin at `step`."""
        total, failure = note.rows_checksum, None
        try:
            for field in self._file.layout.rows:
                stop = min(field.rows, field.rows if self._rows_from is None else self._rows_from)
                for start in range(step, stop, rows := _rows_at_once(field)):
                    grown = self._stepper.accumulators[field.name]
                    part = np.asarray(grown[start : min(start + rows, stop)])
                    total += self._file.write_rows(field, start, part)
        except OSError as error:
            failure = f"rank {self._comm.rank} could not write gradients: {error}"
        if self._file.layout.rows:
            self._agree(failure)
        self._rows_from = step
        return replace(note, rows_checksum=total % (1 << 64))

    def _load_rows(self, field: RowField, first: int) -> int:
        grown = self._stepper.accumulators[field.name]
        total = 0
        for start in range(first, field.rows, rows := _rows_at_once(field)):
            part = np.empty_like(np.asarray(grown[start : start + rows]))
            total += self._file.read_rows(field, start, part)
            grown[start : start + rows] = part
        return total


def hash_of(arrays: Mapping[str, Any]) -> str:
    """Return a hash of arrays, which may be HDF5 datasets, in hexadecimal."""
    running = RunningChecksum()
    for name in sorted(arrays):
        array = arrays[name]
        running.update(np.frombuffer(name.encode(), np.uint8))
        for part in _parts(array):
            running.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
    return f"{running.value:016x}"


def _parts(array: Any) -> Iterator[NDArray[Any]]:
    """Give an array in parts that fit into memory, if it is not there already."""
    if array.ndim == 0 or type(array) is np.ndarray:
        yield np.asarray(array)
        return
    row_bytes = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=int)))
    rows = max(1, HASHED_BYTES // row_bytes)
    for start in range(0, array.shape[0], rows):
        yield np.asarray(array[start : start + rows])


def _rows_at_once(field: RowField) -> int:
    return max(1, HASHED_BYTES // max(1, field.row_bytes))


def _placed(
    start: int, layout: StateLayout, arrays: Mapping[str, Any]
) -> list[tuple[int, NDArray[Any]]]:
    """Return the arrays of a layout that begins at `start`, with their places."""
    return [(start + field.offset, np.asarray(arrays[field.name])) for field in layout.fields]
