"""The format of a snapshot file: its datasets, their sizes, and where each rank's part lies.

One HDF5 file per run, created once; its structure never changes afterwards.

===============  ==================================================================================
``/snapshots``   bytes, one row per state: the blocks of all ranks in rank order, each
                 `StateLayout.block_bytes` long. Contiguous, allocated early and never filled, so it
                 is sparse: a row takes disk space when it is first written. In a file for tapes, a
                 row holds either a state or a piece of a tape, and is as long as the larger.
``/index``       (rows, ranks) of `adjoint.storage.index.Entry`: which state each rank's part of a
                 row holds, or which piece (`adjoint.storage.row_keys`), the evaluation that wrote
                 it, its checksum, the cost of the run up to it, and a checksum of all that. A row
                 is valid if the entries of all ranks are as they were written, and have the same
                 step, sequence number and evaluation.
``/layout``      JSON: the problem in words; the names, shapes, dtypes and offsets of the arrays in
                 a block. Each distinct layout appears once; a list gives the layout of every rank.
``/journal``     bytes, two records from which a killed run resumes: see
                 `adjoint.storage.journal_file`. Only in a file that is kept, as are the next two.
``/gradients``   bytes: the gradients that have a row per step, rank by rank. Only if there are any.
``/steps``       time and length of each accepted step, and their checksum. Only if the number of
                 steps is not known in advance.
attributes       ``format_version``, and ``layout_checksum``: XXH3 of ``/layout``
===============  ==================================================================================

The HDF5 library lays out the file; after that, bytes are moved to and from the offsets
in a `Placement`, without HDF5. So a killed run leaves an intact file, and any HDF5 tool can open it
at any time.

A write to a row clears this rank's index entry, writes the data, and then writes the new entry. A
process killed in between leaves an empty entry, or entries that differ between ranks: either way
the row is not valid. (After a power failure the entry may have reached the disk before the data;
the checksum then shows it.)
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from adjoint.errors import ArgumentError, StepperError
from adjoint.storage.checksums import checksum
from adjoint.storage.index import ENTRY_BYTES, INDEX_DTYPE
from adjoint.storage.state_layout import PAGE_BYTES, StateLayout

__all__ = [
    "ACCEPTED_DTYPE",
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "JOURNAL_RECORDS",
    "FileSpec",
    "JournalLayout",
    "JournalPlacement",
    "Placement",
    "RowField",
    "Structure",
]

T = TypeVar("T")

FORMAT_VERSION = 3
"""Of version 2 the index was not covered by a checksum: nothing is read from such a file."""

JOURNAL_RECORDS = 2
"""Records are written in turn, so that one of them is always intact."""

HEADER_BYTES = PAGE_BYTES
"""Size of the header of each rank's part of a journal record."""

ACCEPTED_DTYPE = np.dtype([("time", "<f8"), ("length", "<f8"), ("checksum", "<u8")])
"""An accepted step in the file: when it began, its length, and a checksum of both."""


@dataclass(frozen=True, slots=True)
class RowField:
    """A gradient with one row per step."""

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
    """The arrays in one rank's part of the journal.

    A record holds the live state (forward sweep), or the adjoint and the gradients accumulated so
    far (reverse sweep). Gradients with a row per step are not in it: a row is final once its step
    has been pulled back, and is then written once, to ``/gradients``.
    """

    state: StateLayout
    adjoint: StateLayout
    gradients: StateLayout
    """Those without a row per step."""
    rows: tuple[RowField, ...]

    @classmethod
    def of(
        cls,
        state: Mapping[str, Any],
        adjoint: Mapping[str, Any],
        gradients: Mapping[str, Any],
        per_step: Collection[str],
    ) -> "JournalLayout":
        """Return the layout for arrays of these shapes and dtypes, which may be HDF5 datasets.

        `per_step` names the gradients whose first axis is the step.
        """
        whole = {name: grown for name, grown in gradients.items() if name not in per_step}
        rows: list[RowField] = []
        end = 0
        for name, grown in gradients.items():
            if name in per_step:
                size = np.dtype(grown.dtype).itemsize * int(np.prod(grown.shape[1:], dtype=int))
                rows.append(RowField(name, int(grown.shape[0]), size, end))
                end += rows[-1].nbytes
        return cls(
            StateLayout.shaped(state),
            StateLayout.shaped(adjoint),
            StateLayout.shaped(whole),
            tuple(rows),
        )

    @property
    def gradients_start(self) -> int:
        """Offset of the gradients in the payload of a record; the adjoint is before them."""
        return self.adjoint.page_bytes

    @property
    def record_bytes(self) -> int:
        """Size of one record: header and payload, in whole pages."""
        reverse = self.gradients_start + self.gradients.page_bytes
        return HEADER_BYTES + max(self.state.page_bytes, reverse)

    @property
    def rows_bytes(self) -> int:
        """Size of the gradients with a row per step."""
        return sum(field.nbytes for field in self.rows)

    def description(self) -> dict[str, Any]:
        """Return the layout as JSON can hold it."""
        return {
            "adjoint": self.adjoint.description(),
            "gradients": self.gradients.description(),
            "rows": [[field.name, field.rows, field.row_bytes] for field in self.rows],
        }


@dataclass(frozen=True, slots=True)
class FileSpec:
    """What one rank wants to keep in a snapshot file."""

    layout: StateLayout
    """Of this rank's state. It may be empty, but not on all ranks."""
    problem: str
    """The problem in words; those of rank 0 count. A file of another problem is refused."""
    journal: JournalLayout | None = None
    """None on all ranks for a file from which no run is to be resumed."""
    accepted_steps: int = 0
    """The number of accepted steps there is room for; that of rank 0 counts. Needs a journal."""
    piece: StateLayout | None = None
    """Of a piece of this rank's tapes; None on all ranks for a file that is to hold none."""


@dataclass(frozen=True, slots=True)
class JournalPlacement:
    """One rank's part of the journal of a snapshot file. Offsets are in bytes."""

    layout: JournalLayout
    records: tuple[int, ...]
    """Where this rank's part of each record begins."""
    rows_start: int
    """Where this rank's gradients with a row per step begin."""
    accepted_start: int
    """Where the accepted steps begin. They are the same on all ranks; rank 0 writes them."""
    accepted_steps: int
    """The number of them there is room for."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One rank's part of an existing snapshot file. Offsets are in bytes."""

    path: str
    """Where engines open it. A new file gets its `name` when all ranks have it open, a temporary
    one then has none."""
    name: str
    """The path that messages give."""
    descriptor: int
    """Of the open file, to read and write; to be duplicated, since its `SnapshotFile` closes it."""
    rank: int
    layout: StateLayout
    """Of this rank's state."""
    piece: StateLayout | None
    """Of a piece of this rank's tapes; None if the file holds none."""
    rows: int
    """The number of states and pieces there is room for."""
    data_start: int
    """This rank's part of row 0."""
    row_bytes: int
    """From one row to the next."""
    index_start: int
    """This rank's index entry of row 0."""
    index_row_bytes: int
    """From the index entries of one row to those of the next."""
    reservable: bool
    """Whether the file system can reserve space before it is written, on every rank."""
    journal: JournalPlacement | None = None
    """What a resumed run starts from; None in a temporary file."""

    @property
    def layouts(self) -> list[StateLayout]:
        """What a row may hold."""
        return [self.layout] if self.piece is None else [self.layout, self.piece]

    def require(self, row: int) -> None:
        """Raise `ArgumentError` if there is no such row."""
        if not 0 <= row < self.rows:
            raise ArgumentError(f"there is no row {row} in {self.name}: it has {self.rows}")

    def offset(self, row: int) -> int:
        """Return where this rank's part of a row begins."""
        return self.data_start + row * self.row_bytes

    def index_offset(self, row: int) -> int:
        """Return where this rank's index entry of a row is."""
        return self.index_start + row * self.index_row_bytes


@dataclass(frozen=True, slots=True)
class Structure:
    """The datasets of a snapshot file for all ranks. Equal structures hold the same problem."""

    layouts: tuple[StateLayout, ...]
    """Of each rank's state, in rank order."""
    rows: int
    """The number of states there is room for."""
    problem: str
    """The problem in words."""
    journals: tuple[JournalLayout, ...] = ()
    """Of each rank; empty if there is no journal."""
    accepted_steps: int = 0
    """The number of accepted steps there is room for; 0 if they are not kept."""
    pieces: tuple[StateLayout, ...] = ()
    """Of a piece of each rank's tapes; empty in a file that holds none."""

    @classmethod
    def of(cls, specs: Sequence[FileSpec], rows: int) -> "Structure":
        """Return the structure of a file with this many rows for what the ranks want to keep.

        Raises
        ------
        ArgumentError
            `rows` is less than one.
        StepperError
            No rank has any state.
        """
        if rows < 1:
            raise ArgumentError(f"a snapshot file needs room for at least one state, not {rows}")
        if not any(spec.layout.nbytes for spec in specs):
            raise StepperError("there is nothing to keep in a file: no rank has any state")
        journals = tuple(spec.journal for spec in specs if spec.journal is not None)
        return cls(
            tuple(spec.layout for spec in specs),
            rows,
            specs[0].problem,
            journals,
            specs[0].accepted_steps if journals else 0,
            tuple(spec.piece for spec in specs if spec.piece is not None),
        )

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return len(self.layouts)

    @property
    def row_bytes(self) -> int:
        """Size of a row: the blocks of all ranks."""
        return sum(self._part_bytes())

    @property
    def record_bytes(self) -> int:
        """Size of one record of the journal, all ranks together."""
        return sum(journal.record_bytes for journal in self.journals)

    @property
    def gradient_bytes(self) -> int:
        """Size of the gradients with a row per step, all ranks together."""
        return sum(journal.rows_bytes for journal in self.journals)

    @property
    def checksum(self) -> int:
        """The content of the attribute ``layout_checksum``."""
        return checksum(self.described())

    def block_starts(self) -> list[int]:
        """Return where each rank's block begins within a row, and where the row ends."""
        return list(accumulate(self._part_bytes(), initial=0))

    def _part_bytes(self) -> list[int]:
        """Return the size of each rank's part of a row."""
        states = [layout.block_bytes for layout in self.layouts]
        pieces = [layout.block_bytes for layout in self.pieces or self.layouts]
        return list(map(max, states, pieces))

    def datasets(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Return dtype and shape of every dataset, by name."""
        byte = np.dtype(np.uint8)
        datasets: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            "snapshots": (byte, (self.rows, self.row_bytes)),
            "index": (INDEX_DTYPE, (self.rows, self.ranks)),
            "layout": (byte, (len(self.described()),)),
        }
        if self.journals:
            datasets["journal"] = byte, (JOURNAL_RECORDS, self.record_bytes)
            if self.gradient_bytes:
                datasets["gradients"] = byte, (self.gradient_bytes,)
            if self.accepted_steps:
                datasets["steps"] = ACCEPTED_DTYPE, (self.accepted_steps,)
        return datasets

    def described(self) -> bytes:
        """Return the content of ``/layout``."""
        layouts = _numbered(self.layouts)
        document: dict[str, Any] = {
            "problem": self.problem,
            "layouts": [layout.description() for layout in layouts],
            "ranks": [layouts[layout] for layout in self.layouts],
        }
        if self.journals:
            journals = _numbered(self.journals)
            document["journals"] = [journal.description() for journal in journals]
            document["journal_ranks"] = [journals[journal] for journal in self.journals]
        if self.pieces:
            pieces = _numbered(self.pieces)
            document["pieces"] = [layout.description() for layout in pieces]
            document["piece_ranks"] = [pieces[layout] for layout in self.pieces]
        return json.dumps(document, separators=(",", ":")).encode()

    def placement(
        self,
        path: str,
        name: str,
        descriptor: int,
        rank: int,
        starts: Mapping[str, int],
        *,
        reservable: bool,
    ) -> Placement:
        """Return one rank's part of a file, given the byte at which each dataset begins."""
        journals = self.journal_placements(starts)
        return Placement(
            path=path,
            name=name,
            descriptor=descriptor,
            rank=rank,
            layout=self.layouts[rank],
            piece=self.pieces[rank] if self.pieces else None,
            rows=self.rows,
            data_start=starts["snapshots"] + self.block_starts()[rank],
            row_bytes=self.row_bytes,
            index_start=starts["index"] + rank * ENTRY_BYTES,
            index_row_bytes=self.ranks * ENTRY_BYTES,
            reservable=reservable,
            journal=journals[rank] if journals else None,
        )

    def journal_placements(self, starts: Mapping[str, int]) -> list[JournalPlacement]:
        """Return each rank's part of the journal; none if there is no journal."""
        placements: list[JournalPlacement] = []
        first, rows = starts.get("journal", 0), starts.get("gradients", 0)
        record_bytes = self.record_bytes
        for layout in self.journals:
            records = tuple(first + k * record_bytes for k in range(JOURNAL_RECORDS))
            accepted = starts.get("steps", 0)
            placements.append(
                JournalPlacement(layout, records, rows, accepted, self.accepted_steps)
            )
            first += layout.record_bytes
            rows += layout.rows_bytes
        return placements


def _numbered(items: Sequence[T]) -> dict[T, int]:
    """Return the distinct items, numbered in the order in which they first occur."""
    return {item: number for number, item in enumerate(dict.fromkeys(items))}
