"""What a snapshot file is made of, reckoned before there is one: sizes, places, descriptions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from adjoint.errors import ArgumentError, StepperError
from adjoint.storage.journal_layout import JOURNAL_RECORDS, JournalLayout
from adjoint.storage.placement import (
    ACCEPTED_BYTES,
    ENTRY_BYTES,
    JournalPlacement,
    Placement,
)
from adjoint.storage.state_layout import LARGEST_ALIGNMENT, StateLayout

__all__ = ["FORMAT_VERSION", "INDEX_DTYPE", "Structure"]

FORMAT_VERSION = 2

HDF5_BYTES = 1 << 16
"""More than the HDF5 library writes of its own to a file of six datasets."""

INDEX_DTYPE = np.dtype([("step", "<i8"), ("sequence", "<u8"), ("checksum", "<u8"), ("cost", "<f8")])
"""One entry of the index: `placement.Entry` as NumPy and HDF5 see it."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Sizes and descriptions of a file for some rows of all ranks' states."""

    layouts: tuple[StateLayout, ...]
    """Of each rank's state, in rank order."""
    rows: int
    fingerprint: str
    """What the file is for: a hash, in hexadecimal."""
    journals: tuple[JournalLayout, ...] = ()
    """Of each rank; none where there is no journal."""
    accepted_steps: int = 0
    """How many accepted steps there is room for; 0 where they need not be kept."""

    @classmethod
    def of(
        cls,
        layouts: Sequence[StateLayout],
        rows: int,
        fingerprint: bytes,
        *,
        journals: Sequence[JournalLayout] = (),
        accepted_steps: int = 0,
    ) -> "Structure":
        """Return the structure for so many rows.

        Raises
        ------
        ArgumentError
            There is not one row.
        StepperError
            No rank has any state.
        """
        if rows < 1:
            raise ArgumentError(f"a snapshot file needs room for at least one state, not {rows}")
        if not any(layout.nbytes for layout in layouts):
            raise StepperError("there is nothing to keep in a file: no rank has any state")
        made_for = hashlib.sha256(fingerprint).hexdigest()
        return cls(tuple(layouts), rows, made_for, tuple(journals), accepted_steps)

    @property
    def ranks(self) -> int:
        """How many ranks there are."""
        return len(self.layouts)

    @property
    def row_bytes(self) -> int:
        """All ranks' blocks together."""
        return sum(layout.block_bytes for layout in self.layouts)

    @property
    def record_bytes(self) -> int:
        """What one record of the journal takes, all ranks together."""
        return sum(journal.record_bytes for journal in self.journals)

    @property
    def gradient_bytes(self) -> int:
        """What gradients with a row per step take, all ranks together."""
        return sum(journal.rows_bytes for journal in self.journals)

    @property
    def metadata_bytes(self) -> int:
        """More than what is written to the file when it is made."""
        return HDF5_BYTES + len(self.described())

    @property
    def file_bytes(self) -> int:
        """At least the length of the file, most of which is sparse."""
        index = self.rows * self.ranks * ENTRY_BYTES
        journal = JOURNAL_RECORDS * self.record_bytes + self.gradient_bytes
        journal += self.accepted_steps * ACCEPTED_BYTES
        gaps = 7 * LARGEST_ALIGNMENT  # before each dataset, and at the end
        return self.rows * self.row_bytes + index + journal + self.metadata_bytes + gaps

    def datasets(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return dtype and shape of every dataset, by name."""
        described = len(self.described())
        every: dict[str, tuple[Any, tuple[int, ...]]] = {
            "snapshots": (np.uint8, (self.rows, self.row_bytes)),
            "index": (INDEX_DTYPE, (self.rows, self.ranks)),
            "layout": (np.uint8, (described,)),
        }
        if self.journals:
            every["journal"] = np.uint8, (JOURNAL_RECORDS, self.record_bytes)
            if self.gradient_bytes:
                every["gradients"] = np.uint8, (self.gradient_bytes,)
            if self.accepted_steps:
                every["steps"] = np.float64, (self.accepted_steps, 2)
        return every

    def described(self) -> bytes:
        """Return every rank's layout as JSON, each different one once."""
        different = list(dict.fromkeys(self.layouts))
        numbers = {layout: number for number, layout in enumerate(different)}
        document: dict[str, Any] = {
            "layouts": [layout.description() for layout in different],
            "ranks": [numbers[layout] for layout in self.layouts],
        }
        if self.journals:
            journals = list(dict.fromkeys(self.journals))
            document["journals"] = [journal.description() for journal in journals]
            document["journal_ranks"] = [journals.index(journal) for journal in self.journals]
        return json.dumps(document, separators=(",", ":")).encode()

    def placement(
        self, path: str, rank: int, starts: Mapping[str, int], *, reservable: bool
    ) -> Placement:
        """Return one rank's part of a file, given the bytes at which its datasets begin."""
        parts = list(accumulate((layout.block_bytes for layout in self.layouts), initial=0))
        return Placement(
            path=path,
            rank=rank,
            layout=self.layouts[rank],
            rows=self.rows,
            data_start=starts["snapshots"] + parts[rank],
            row_bytes=self.row_bytes,
            index_start=starts["index"] + rank * ENTRY_BYTES,
            index_row_bytes=self.ranks * ENTRY_BYTES,
            reservable=reservable,
            journal=self._journal_placement(rank, starts),
        )

    def _journal_placement(self, rank: int, starts: Mapping[str, int]) -> JournalPlacement | None:
        if not self.journals:
            return None
        before = self.journals[:rank]
        part = sum(journal.record_bytes for journal in before)
        first = starts["journal"] + part
        return JournalPlacement(
            layout=self.journals[rank],
            records=tuple(first + k * self.record_bytes for k in range(JOURNAL_RECORDS)),
            rows_start=starts.get("gradients", 0) + sum(journal.rows_bytes for journal in before),
            accepted_start=starts.get("steps", 0),
            accepted_steps=self.accepted_steps,
        )
