"""What a snapshot file is made of, reckoned before there is one: sizes, places, descriptions."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from adjoint.errors import ArgumentError, StepperError
from adjoint.storage.layout import LARGEST_ALIGNMENT, StateLayout
from adjoint.storage.placement import ENTRY_BYTES, Placement

__all__ = ["FORMAT_VERSION", "INDEX_DTYPE", "Structure"]

FORMAT_VERSION = 1

HDF5_BYTES = 1 << 16
"""More than the HDF5 library writes of its own to a file of three datasets."""

INDEX_DTYPE = np.dtype([("step", "<i8"), ("sequence", "<u8"), ("checksum", "<u8")])
"""One entry of the index: `placement.Entry` as NumPy and HDF5 see it."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Sizes and descriptions of a file for some rows of all ranks' states."""

    layouts: tuple[StateLayout, ...]
    """Of each rank's state, in rank order."""
    rows: int
    fingerprint: str
    """What the file is for: a hash, in hexadecimal."""

    @classmethod
    def of(cls, layouts: Sequence[StateLayout], rows: int, fingerprint: bytes) -> "Structure":
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
        return cls(tuple(layouts), rows, hashlib.sha256(fingerprint).hexdigest())

    @property
    def ranks(self) -> int:
        """How many ranks there are."""
        return len(self.layouts)

    @property
    def row_bytes(self) -> int:
        """All ranks' blocks together."""
        return sum(layout.block_bytes for layout in self.layouts)

    @property
    def metadata_bytes(self) -> int:
        """More than what is written to the file when it is made."""
        return HDF5_BYTES + len(self.described())

    @property
    def file_bytes(self) -> int:
        """At least the length of the file, most of which is sparse."""
        index = self.rows * self.ranks * ENTRY_BYTES
        gaps = 4 * LARGEST_ALIGNMENT  # before each dataset, and at the end
        return self.rows * self.row_bytes + index + self.metadata_bytes + gaps

    def described(self) -> bytes:
        """Return every rank's layout as JSON, each different one once."""
        different = list(dict.fromkeys(self.layouts))
        numbers = {layout: number for number, layout in enumerate(different)}
        document = {
            "layouts": [layout.description() for layout in different],
            "ranks": [numbers[layout] for layout in self.layouts],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def placement(
        self, path: str, rank: int, snapshots: int, index: int, *, reservable: bool
    ) -> Placement:
        """Return one rank's part of a file whose `/snapshots` and `/index` begin at those bytes."""
        parts = list(accumulate((layout.block_bytes for layout in self.layouts), initial=0))
        return Placement(
            path=path,
            rank=rank,
            layout=self.layouts[rank],
            rows=self.rows,
            data_start=snapshots + parts[rank],
            row_bytes=self.row_bytes,
            index_start=index + rank * ENTRY_BYTES,
            index_row_bytes=self.ranks * ENTRY_BYTES,
            reservable=reservable,
        )
