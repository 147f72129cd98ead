"""A snapshot file in use: where this rank's part lies, and which rows hold a state.

`adjoint.storage.opening` creates it, or takes over the one of an earlier run; the format is
described in `adjoint.storage.file_format`.
"""

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Self

import numpy as np

from adjoint.errors import ScheduleError
from adjoint.parallel import Communicator
from adjoint.storage.claim import Claim
from adjoint.storage.file_format import ENTRY_BYTES, MAX_EMPTY_ROWS, Entry, Placement
from adjoint.storage.file_io import closing

__all__ = ["SnapshotFile"]


class SnapshotFile:
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
    def row_bytes(self) -> int:
        """Size of one state, all ranks together."""
        return self.placement.row_bytes

    @property
    def disk_bytes_used(self) -> int:
        """Size of the rows used so far, all ranks together."""
        return self._touched * self.row_bytes

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

    def recall(self, comm: Communicator, first: int) -> tuple[dict[int, tuple[int, Entry]], int]:
        """Take the rows that hold valid states of an earlier run, and return them. Collective.

        A row is valid if all ranks have the same step and the same sequence number in its entry,
        and that number is at least `first`.

        Returns
        -------
        dict, int
            By step, the row and this rank's entry: of several rows of one step, the one written
            last. And the largest sequence number on any rank.
        """
        own = _read_entries(self.placement)
        used = max(comm.gather(max(own, default=-1) + 1))
        # The largest value and, negated, the smallest: they are equal if all ranks agree.
        values = np.zeros((4, used))
        for row, entry in own.items():
            if entry.sequence >= first:
                values[:, row] = entry.sequence, -entry.sequence, entry.step, -entry.step
        top = comm.begin_largest(values.reshape(-1)).result().reshape(4, used)
        valid = (top[0] == -top[1]) & (top[2] == -top[3]) & (top[0] > 0)
        rows: list[int] = [r for r in np.flatnonzero(valid).tolist() if r not in self._unusable]
        states = {
            own[row].step: (row, own[row])
            for row in sorted(rows, key=lambda row: own[row].sequence)
        }
        self._touched = used
        self._skip_unusable()
        self._taken = {row for row, _ in states.values()}
        free = set(range(used)) - self._taken - self._unusable
        self._free = sorted(free, reverse=True)
        last = max((entry.sequence for entry in own.values()), default=0)
        return states, max(comm.gather(last))

    def close(self) -> None:
        """Close the file, and remove it if it never got its name. Not collective. Idempotent."""
        self._close()
        self.claim.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _read_entries(placement: Placement) -> dict[int, Entry]:
    """Return this rank's entries that are not empty, by row."""
    entries: dict[int, Entry] = {}
    empty = 0
    for row in range(placement.rows):
        offset = placement.index_offset(row)
        entry = Entry.unpacked(os.pread(placement.descriptor, ENTRY_BYTES, offset))
        empty = 0 if entry.sequence else empty + 1
        if entry.sequence:
            entries[row] = entry
        if empty > MAX_EMPTY_ROWS:
            break
    return entries
