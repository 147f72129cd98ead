"""A snapshot file in use: where this rank's part lies, and which rows hold a state.

`adjoint.storage.opening` creates it, or takes over the one of an earlier run; the format is
described in `adjoint.storage.file_format`.
"""

import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from adjoint.closing import Closing
from adjoint.errors import ScheduleError
from adjoint.parallel import Communicator
from adjoint.storage.claim import Claim
from adjoint.storage.file_format import Placement
from adjoint.storage.file_io import closing
from adjoint.storage.index import ENTRY_BYTES, MAX_EMPTY_ROWS, Entry, read_entries

__all__ = ["Recalled", "SnapshotFile"]


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a file holds of one evaluation: the same on all ranks, but for costs and entries."""

    rows: Mapping[int, int]
    """The row of each state, by step."""
    costs: Mapping[int, float]
    """This rank's running total up to each state, by step: those that all ranks know."""
    entries: Mapping[int, Entry]
    """Every entry of this rank, of whatever evaluation, by row."""
    writes: int
    """The largest sequence number on any rank."""


class SnapshotFile(Closing):
    """An open file and its free rows. A context manager.

    A row holds one state of all ranks. All ranks take rows and give them back by the same calls in
    the same order, so they agree on them without communicating.

    Parameters
    ----------
    placement
        Where this rank's part is. The descriptor is the file's to close.
    claim
        What rank 0 holds of the file; the file's to close.
    """

    def __init__(
        self, placement: Placement, claim: Claim, *, unusable: AbstractSet[int] = frozenset()
    ) -> None:
        self.placement = placement
        """Where this rank's part of every row is: what an engine needs."""
        self.claim = claim
        self._close = closing(self, placement.descriptor)
        self._free: list[int] = []
        self._taken: set[int] = set()
        self._unusable = set(unusable)
        """Rows that are never taken: they could not be written or read, or may still be written."""
        self._touched = 0
        """Rows used so far: they are the first ones."""
        self._skip_unusable()

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self.placement.name

    @property
    def usable_rows(self) -> int:
        """Number of rows that are not unusable."""
        return self.placement.rows - len(self._unusable)

    @property
    def has_room(self) -> bool:
        """Whether a row can be taken."""
        return bool(self._free) or self._touched < self.placement.rows

    def take_row(self) -> int:
        """Return a free row: the one given back last, otherwise the first that was never used.

        Raises
        ------
        ScheduleError
            Every row is taken.
        """
        if not self.has_room:
            raise ScheduleError(
                f"all {self.usable_rows} rows of {self.path} are in use: the schedule keeps "
                "more states in the file than it was made for"
            )
        if self._free:
            row = self._free.pop()
        else:
            row = self._touched
            self._touched += 1
            self._skip_unusable()
        self._taken.add(row)
        return row

    def give_back_row(self, row: int) -> None:
        """Free a row; what it holds may be overwritten.

        Raises
        ------
        ScheduleError
            It is not taken.
        """
        self._give_up(row)
        if row not in self._unusable:
            self._free.append(row)

    def retire_row(self, row: int) -> None:
        """Never use a row again: it could not be written or read.

        Raises
        ------
        ScheduleError
            It is not taken.
        """
        self._give_up(row)
        self._unusable.add(row)

    def exclude(self, rows: Iterable[int]) -> None:
        """Never use rows again, or not once they are given back."""
        self._unusable.update(rows)
        self._free = [row for row in self._free if row not in self._unusable]
        self._skip_unusable()

    def _skip_unusable(self) -> None:
        while self._touched in self._unusable:
            self._touched += 1

    def _give_up(self, row: int) -> None:
        if row not in self._taken:
            raise ScheduleError(f"row {row} of {self.path} was given back, but is not taken")
        self._taken.remove(row)

    def recall(self, comm: Communicator, evaluation: int) -> Recalled:
        """Take the rows that hold valid states of an evaluation, and return them. Collective.

        A row is valid if the entries of all ranks are as they were written by that evaluation, with
        the same step and sequence number. Of several rows of one step, the one written last counts.
        """
        own, used = _own_entries(self.placement)
        used = max(comm.gather(used))
        # The largest value and, negated, the smallest: they are equal if all ranks agree.
        values = np.zeros((5, used))
        for row, entry in own.items():
            if entry.evaluation == evaluation:
                known = math.isfinite(entry.cost)
                values[:, row] = entry.sequence, -entry.sequence, entry.step, -entry.step, not known
        top = comm.begin_largest(values.reshape(-1)).result().reshape(5, used)
        valid = (top[0] == -top[1]) & (top[2] == -top[3]) & (top[0] > 0)
        rows: list[int] = [r for r in np.flatnonzero(valid).tolist() if r not in self._unusable]
        rows.sort(key=lambda row: own[row].sequence)
        found = {own[row].step: row for row in rows}
        costs = {step: own[row].cost for step, row in found.items() if not top[4, row]}
        self._touched = used
        self._skip_unusable()
        self._taken = set(found.values())
        free = set(range(used)) - self._taken - self._unusable
        self._free = sorted(free, reverse=True)
        last = max((entry.sequence for entry in own.values()), default=0)
        return Recalled(found, costs, own, max(comm.gather(last)))

    def close(self) -> None:
        """Close the file, and remove it if it never got its name. Not collective. Idempotent."""
        self._close()
        self.claim.close()


def _own_entries(placement: Placement) -> tuple[dict[int, Entry], int]:
    """Return this rank's entries that are as they were written, by row, and the rows in use."""
    entries: dict[int, Entry] = {}
    used = row = 0
    while row < min(placement.rows, used + MAX_EMPTY_ROWS + 1):
        start = placement.index_offset(row)
        data = read_entries(placement.descriptor, start, ENTRY_BYTES, ENTRY_BYTES)
        row += 1
        if any(data):
            used = row
            entry = Entry.unpacked(data)
            if entry is not None:
                entries[row - 1] = entry
    return entries, used
