"""The journal of a run: records from which it can be resumed after a kill, on all ranks.

A record (`adjoint.storage.journal_file`) holds the live state of the forward sweep, or the adjoint
and the gradients of the reverse sweep. Each rank writes its part, then all ranks agree that every
part is written. Records alternate between two places, so that one of them is whole on all ranks
whenever the job is killed.

A kill loses at most a given share of the time that the run has taken so far: a run of length ``T``
has about ``log(T) / share`` records. It has fewer where a record takes long, so that records take
at most one part in `MIN_GAP` of the run.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.parallel import Communicator
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper
from adjoint.storage.checksums import first_non_finite
from adjoint.storage.file_format import RowField
from adjoint.storage.journal_file import (
    BEGUN,
    FORWARD,
    REVERSE,
    JournalFile,
    RecordHeader,
    rows_at_once,
)
from adjoint.storage.state_layout import StateLayout

__all__ = ["Journal", "SavedRecord"]

LOG = logging.getLogger("adjoint")

MIN_GAP = 200
"""Least time between two records, as a multiple of the time that the slowest one took: half a per
cent of the run."""


@dataclass(frozen=True, slots=True)
class SavedRecord:
    """A record of the journal whose header is whole on all ranks."""

    record: int
    """Which of the two places it is in."""
    number: int
    """Ordinal of the record, starting at 1."""
    header: RecordHeader
    """The header of this rank's part."""


class Journal:
    """The journal of one stepper's runs. Collective on `comm`, unless a method says otherwise.

    If a record cannot be written, the run continues, and the next chance for one is taken, unless
    the journal was given up. Until one succeeds, `failure` says why.

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
        """Why the last record was not written; None if it was."""
        self.records = 0
        """Records written in this run."""
        self.seconds = 0.0
        """Time that writing them took, on this rank."""
        self.seconds_before = 0.0
        """Duration of the runs that this one resumes."""
        self.data: Mapping[str, str] = {}
        """Hashes of the controls and of what the stepper holds, see `describe`."""
        self.resumed: SavedRecord | None = None
        """The record that this run continues from; None if it began at the beginning."""
        self.observer: Callable[[str, int, float, float], None] | None = None
        """Called after every record with "Journal", its step, and when it began and ended."""
        self._file = file
        self._stepper = stepper
        self._capabilities = Capabilities.of(stepper)
        self._comm = comm
        self._share = share
        self._plan: Mapping[str, Any] = {}
        self._number = 0
        self._highest = 0
        """The largest number of a record that any rank has found."""
        self._header = RecordHeader(BEGUN, 0, None, 0.0, 0, {}, 0.0)
        """The header of the last record."""
        self._saved_at = 0.0
        """Seconds into the run at which the last record was written."""
        self._tried_at = 0.0
        """Seconds into the run at which the last record was tried."""
        self._longest = 0.0
        """Seconds that the slowest record took, on the slowest rank."""
        self._rows_from: int | None = None
        """First row of the gradients of per-step controls that is written; None if none is."""
        self._accepted = 0
        """Accepted steps of the run; all written if there is no failure."""
        self._accepted_written = 0
        """Those that rank 0 has written."""
        self._accepted_failure: str | None = None
        """Why accepted steps could not be written: then no record is."""
        self._is_given_up = False

    def close(self) -> None:
        """Close the file. Not collective."""
        self._file.close()

    # -- writing --------------------------------------------------------------------------------

    @property
    def evaluation(self) -> int:
        """The number of the evaluation that is written: the same on all ranks."""
        return self._header.evaluation

    def describe(self, data: Mapping[str, str], plan: Mapping[str, Any]) -> None:
        """Say what the next run is. Not collective.

        Parameters
        ----------
        data
            Hashes of the controls and of what the stepper holds, by name.
        plan
            What a resumed run need not measure again; values that JSON can hold.
        """
        self.data, self._plan = data, plan

    def begin(self) -> None:
        """Begin a run afresh: an evaluation of its own."""
        evaluation = self._comm.gather(secrets.randbits(63))[0]
        header = RecordHeader(BEGUN, 0, None, 0.0, evaluation, self.data, 0.0, plan=self._plan)
        self._go_on_from(header)
        self._write(header, [])

    def resume(self, found: SavedRecord) -> None:
        """Begin a run that continues the evaluation of a record. Not collective."""
        self._go_on_from(replace(found.header, plan=self._plan))
        self._write_after(found.number)
        self.resumed = found

    def _go_on_from(self, header: RecordHeader) -> None:
        self.records, self.seconds, self._longest = 0, 0.0, 0.0
        self.seconds_before = self._saved_at = self._tried_at = header.seconds
        self.resumed = None
        self._accepted_failure = None
        if not self._is_given_up:
            self.failure = None
        self._header = header
        self._rows_from = header.step if header.phase == REVERSE else None
        self._accepted = self._accepted_written = 0

    def due(self, elapsed: float) -> bool:
        """Return whether a record is due, `elapsed` seconds into the run. Not collective."""
        is_old = elapsed - self._saved_at > self._share * self._saved_at
        return (
            not self._is_given_up and is_old and elapsed - self._tried_at > MIN_GAP * self._longest
        )

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
        rows_checksum, failure = self._save_rows(step)
        header = replace(
            self._header,
            phase=REVERSE,
            step=step,
            num_steps=num_steps,
            cost=cost,
            seconds=elapsed,
            accepted=self._accepted,
            rows_checksum=rows_checksum,
        )
        adjoint = _placed(0, layout.adjoint, stepper.adjoint)
        gradients = _placed(layout.gradients_start, layout.gradients, stepper.accumulators)
        if self._write(header, [*adjoint, *gradients], failure):
            self._rows_from = step

    def save_accepted(self) -> None:
        """Write the accepted steps that are new. Not collective: rank 0 does it."""
        accepted = self._capabilities.accepted_steps
        if accepted is None or not self._file.placement.accepted_steps or self._is_given_up:
            return
        self._accepted = len(accepted)
        if self._comm.rank == 0:
            try:
                new = accepted[self._accepted_written :]
                self._file.write_accepted(self._header.evaluation, self._accepted_written, new)
                self._accepted_written, self._accepted_failure = self._accepted, None
            except OSError as error:
                self._accepted_failure = f"could not write the accepted steps: {error}"

    def end(self) -> None:
        """Notice that the file was removed since the last record. Not collective."""
        try:
            self._file.require_name()
        except OSError as error:
            self._fail(str(error))

    def give_up(self, reason: str) -> None:
        """Write no other record, because the file cannot be written. Not collective."""
        self._is_given_up = True
        self.failure = self.failure or reason

    # -- finding --------------------------------------------------------------------------------

    def find(self) -> list[SavedRecord]:
        """Return the records whose headers are whole on all ranks, the latest first."""
        found: list[SavedRecord] = []
        for record in range(len(self._file.placement.records)):
            read = self._file.read(record)
            ranks = self._comm.gather(None if read is None else (read[0], read[1].shared))
            self._highest = max(self._highest, *(0 if one is None else one[0] for one in ranks))
            if len(set(ranks)) == 1 and read is not None:
                found.append(SavedRecord(record, *read))
        found.sort(key=lambda saved: -saved.number)
        self._write_after(found[0].number if found else 0)
        return found

    def load_state(self, found: SavedRecord, arrays: Arrays) -> bool:
        """Fill the arrays of a state from a record of the forward sweep.

        Returns whether they are those that were written, on all ranks.
        """
        placed = _placed(0, self._file.layout.state, arrays)
        return all(self._comm.gather(self._file.load(found.record, found.header, placed)))

    def load_reverse(self, found: SavedRecord) -> bool:
        """Fill the stepper's adjoint and gradients from a record of the reverse sweep.

        Returns whether they are those that were written, on all ranks.
        """
        layout, stepper, header = self._file.layout, self._stepper, found.header
        adjoint = _placed(0, layout.adjoint, stepper.adjoint)
        gradients = {f.name: np.empty(f.shape, f.dtype) for f in layout.gradients.fields}
        placed = _placed(layout.gradients_start, layout.gradients, gradients)
        sound = self._file.load(found.record, header, [*adjoint, *placed])
        for name, gradient in gradients.items():
            stepper.accumulators[name][...] = gradient
        sums = [self._load_rows(field, header.step) for field in layout.rows]
        known = [total for total in sums if total is not None]
        sound = sound and len(known) == len(sums)
        sound = sound and sum(known) % (1 << 64) == header.rows_checksum
        return all(self._comm.gather(sound))

    @property
    def keeps_accepted(self) -> bool:
        """Whether there is room for accepted steps in the file."""
        return self._file.placement.accepted_steps > 0

    def accepted_steps(self, found: SavedRecord, count: int) -> NDArray[np.float64]:
        """Return accepted steps of the run that is resumed: the first `count`, if all are sound.

        Fewer if one of them is damaged: those before it, the same number on all ranks.
        """
        steps = self._file.read_accepted(found.header.evaluation, count)
        self._accepted = self._accepted_written = min(self._comm.gather(len(steps)))
        return steps[: self._accepted]

    # -- inside ---------------------------------------------------------------------------------

    def _write_after(self, number: int) -> None:
        """Have the next record in the other place than that of a record, with an unused number.

        So parts of two records that were cut short, on different ranks, never look like one.
        """
        self._number = number + (max(0, self._highest - number) + 1) // 2 * 2

    def _write(
        self,
        header: RecordHeader,
        arrays: list[tuple[int, NDArray[Any]]],
        failure: str | None = None,
    ) -> bool:
        """Write the next record, unless there is a failure; return whether all ranks have it.

        Nothing is written if a value is not finite on any rank: no later run could make it so.
        """
        self._tried_at = header.seconds
        if self._is_given_up or not self._is_finite(header.cost, arrays):
            return False
        began, failure = time.perf_counter(), failure or self._accepted_failure
        try:
            if failure is None:
                self._file.require_name()
                self._file.write(self._number + 1, header, arrays)
        except OSError as error:
            failure = f"rank {self._comm.rank} could not write the journal: {error}"
        ranks = self._comm.gather((failure, time.perf_counter() - began))
        failures = [failure for failure, _ in ranks if failure]
        self._longest = max(self._longest, *(seconds for _, seconds in ranks))
        ended = time.perf_counter()
        self.seconds += ended - began
        if failures:
            self._fail(failures[0])
            self._number += 2  # in the same place again, with a number of its own
            return False
        self.failure = None
        self._number += 1
        self._header = header
        self._saved_at = header.seconds
        self.records += 1
        if self.observer is not None:
            self.observer("Journal", header.step, began, ended)
        return True

    def _fail(self, failure: str) -> None:
        """Say why no record could be written: in the log only the first time."""
        if self.failure is None and self._comm.rank == 0:
            LOG.warning("no run can be resumed from the present state: %s", failure)
        self.failure = failure

    def _is_finite(self, cost: float, arrays: list[tuple[int, NDArray[Any]]]) -> bool:
        """Return whether cost and arrays are finite on all ranks. Collective."""
        named = {str(offset): array for offset, array in arrays}
        return all(self._comm.gather(math.isfinite(cost) and first_non_finite(named) is None))

    def _save_rows(self, step: int) -> tuple[int, str | None]:
        """Write the rows that have become final, from `step` on.

        Returns the checksum of all, and why they could not be written if so.
        """
        total = self._header.rows_checksum
        try:
            for field in self._file.layout.rows:
                stop = min(field.rows, field.rows if self._rows_from is None else self._rows_from)
                for start in range(step, stop, rows := rows_at_once(field)):
                    gradient = self._stepper.accumulators[field.name]
                    part = np.asarray(gradient[start : min(start + rows, stop)])
                    total += self._file.write_rows(field, start, part)
        except OSError as error:
            return 0, f"rank {self._comm.rank} could not write gradients: {error}"
        return total % (1 << 64), None

    def _load_rows(self, field: RowField, first: int) -> int | None:
        """Fill the rows of a gradient from `first` on; return the sum of their checksums.

        None if some cannot be read.
        """
        gradient = self._stepper.accumulators[field.name]
        total = 0
        for start in range(first, field.rows, rows := rows_at_once(field)):
            part = np.empty_like(np.asarray(gradient[start : start + rows]))
            checksum = self._file.read_rows(field, start, part)
            if checksum is None:
                return None
            total += checksum
            gradient[start : start + rows] = part
        return total


def _placed(
    start: int, layout: StateLayout, arrays: Mapping[str, Any]
) -> list[tuple[int, NDArray[Any]]]:
    """Return the arrays of a layout that begins at byte `start` of a record, with their offsets."""
    return [(start + field.offset, np.asarray(arrays[field.name])) for field in layout.fields]
