"""What one rank's part of the journal holds, and where: reckoned before there is a file.

A record of the journal is what a killed run goes on from. In the forward sweep that is the live
state; in the reverse sweep it is the adjoint, and the gradients as far as they have grown.
Gradients with a row per step are not in it: a row that is final is written once, to ``/gradients``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adjoint.storage.state_layout import PAGE_BYTES, StateLayout

__all__ = ["HEADER_BYTES", "JOURNAL_RECORDS", "JournalLayout", "RowField"]

JOURNAL_RECORDS = 2
"""They are written in turn, so that one of them is always whole."""

HEADER_BYTES = PAGE_BYTES
"""At the beginning of each rank's part of a record."""


@dataclass(frozen=True, slots=True)
class RowField:
    """A gradient with a row for each step."""

    name: str
    rows: int
    row_bytes: int
    offset: int
    """Bytes from the beginning of this rank's part of ``/gradients``."""

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return self.rows * self.row_bytes


@dataclass(frozen=True, slots=True)
class JournalLayout:
    """The arrays in one rank's part of the journal."""

    state: StateLayout
    adjoint: StateLayout
    gradients: StateLayout
    """Those that are journalled as a whole."""
    rows: tuple[RowField, ...]

    @classmethod
    def of(
        cls,
        state: Mapping[str, Any],
        adjoint: Mapping[str, Any],
        gradients: Mapping[str, Any],
        per_step: Collection[str],
    ) -> "JournalLayout":
        """Return the layout for arrays of these shapes and dtypes; they may be HDF5 datasets."""
        whole = {name: grown for name, grown in gradients.items() if name not in per_step}
        rows: list[RowField] = []
        end = 0
        for name in gradients:
            if name in per_step:
                grown = gradients[name]
                count = int(grown.shape[0])
                size = np.dtype(grown.dtype).itemsize * int(np.prod(grown.shape[1:], dtype=int))
                rows.append(RowField(name, count, size, end))
                end += count * size
        return cls(
            StateLayout.shaped(state),
            StateLayout.shaped(adjoint),
            StateLayout.shaped(whole),
            tuple(rows),
        )

    @property
    def gradients_start(self) -> int:
        """Where the gradients lie in the payload of a record; the adjoint is before them."""
        return self.adjoint.memory_bytes

    @property
    def record_bytes(self) -> int:
        """What one record takes: header and payload, in whole pages."""
        reverse = self.gradients_start + self.gradients.memory_bytes
        return HEADER_BYTES + max(self.state.memory_bytes, reverse)

    @property
    def rows_bytes(self) -> int:
        """What the gradients with a row per step take."""
        return sum(field.nbytes for field in self.rows)

    def description(self) -> dict[str, Any]:
        """Return the layout as JSON can hold it."""
        return {
            "adjoint": self.adjoint.description(),
            "gradients": self.gradients.description(),
            "rows": [[field.name, field.rows, field.row_bytes] for field in self.rows],
        }
