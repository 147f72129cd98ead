"""What a snapshot file holds: the output of ``adjoint inspect``.

The file is only read, and need not be trusted: see `adjoint.storage.reader`. Names that come from
it are printed so that no control character in them reaches the terminal.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adjoint.printable import printable
from adjoint.reporting.progress import Bar
from adjoint.storage.file_format import FORMAT_VERSION
from adjoint.storage.journal_file import JournalRecord
from adjoint.storage.reader import Contents, Snapshots, open_snapshots
from adjoint.storage.row_keys import described, first_step, piece_key, piece_of
from adjoint.storage.state_layout import StateLayout
from adjoint.units import format_bytes, format_count, format_seconds

__all__ = ["BadPart", "SnapshotSummary", "as_ranges", "inspect_file"]

MAX_RANGES = 24
"""Ranges of steps in the text; JSON has all."""

MAX_LINES = 48
"""Lines of text on layouts, and on bad parts; JSON has all."""

PHASES = {
    "begun": "at the start of the forward sweep",
    "forward": "in the forward sweep, at step {step}",
    "reverse": "in the reverse sweep, at step {step}",
}

MIN_IN_RANGE = 3
"""Fewer steps in a row are listed one by one."""


@dataclass(frozen=True, slots=True)
class BadPart:
    """One rank's part of a state, or of a tape, whose checksum does not match."""

    step: int
    """Of the state, or the first of the tape."""
    piece: int | None
    """Which piece of the tape; None for a state."""
    row: int
    rank: int
    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotSummary:
    """What a snapshot file held when it was read."""

    path: str
    problem: str
    """The problem that the file belongs to."""
    ranks: int
    file_bytes: int
    """Length of the file, most of which may be sparse."""
    disk_bytes: int
    """Disk space it occupies."""
    layouts: tuple[tuple[StateLayout, tuple[int, ...]], ...]
    """Each distinct layout of a rank's part of a state, and the ranks that have it."""
    piece_layouts: tuple[tuple[StateLayout, tuple[int, ...]], ...]
    """Each distinct layout of a rank's part of a piece of a tape; none in a file without tapes."""
    rows: int
    """States, and pieces of tapes, that the file has room for."""
    contents: Contents
    has_journal: bool
    records: tuple[JournalRecord, ...]
    """Records from which a run could be resumed, latest first."""
    accepted_capacity: int
    """Accepted time steps the file has room for; 0 if it does not keep them."""
    bad: tuple[BadPart, ...] | None
    """Parts whose checksum does not match; None if they were not verified."""

    @property
    def state_bytes(self) -> int:
        """One state, on all ranks."""
        return sum(layout.nbytes * len(ranks) for layout, ranks in self.layouts)

    @property
    def tapes(self) -> dict[int, int]:
        """The pieces in the file of each tape, by its first step, ascending."""
        return dict(sorted(Counter(map(first_step, self.contents.pieces)).items()))

    @property
    def is_sound(self) -> bool:
        """Whether nothing that was verified is damaged: a resumed run would use all of it.

        One whole record of the journal is enough: a kill may have interrupted writing the other.
        """
        if self.bad is None:
            return True
        contents = self.contents
        some_record = not self.records or any(record.is_whole for record in self.records)
        return (
            not (self.bad or contents.damaged_entries or contents.damaged_headers) and some_record
        )

    def as_text(self) -> str:
        """Return what the file holds as a list of facts."""
        written_by = format_count(self.ranks, "rank")
        path = printable(self.path)
        lines = [
            f"{path}: snapshot file, format {FORMAT_VERSION}, written by {written_by}",
            "",
        ]
        for name, facts in (
            ("problem", [printable(self.problem)]),
            (
                "size",
                [f"{format_bytes(self.disk_bytes)} on disk, of {format_bytes(self.file_bytes)}"],
            ),
            ("state", list(_first(self._state_lines()))),
            ("rows", [self._rows_line()]),
            ("states", self._steps_lines()),
            ("tapes", list(_first(self._tapes_lines()))),
            ("journal", self._journal_lines()),
            ("checksums", list(_first(self._checksum_lines()))),
        ):
            for fact, line in zip([name, *[""] * len(facts)], facts, strict=False):
                lines.append(f"{fact:11}{line}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return what the file holds in types that JSON has."""
        return {
            "path": self.path,
            "format_version": FORMAT_VERSION,
            "problem": self.problem,
            "ranks": self.ranks,
            "file_bytes": self.file_bytes,
            "disk_bytes": self.disk_bytes,
            "state_bytes": self.state_bytes,
            "layouts": [
                {"fields": layout.description(), "ranks": list(ranks)}
                for layout, ranks in self.layouts
            ],
            "rows": self.rows,
            "rows_used": self.contents.used,
            "rows_stale": self.contents.stale,
            "rows_disagreeing": self.contents.disagreeing,
            "damaged_entries": self.contents.damaged_entries,
            "damaged_headers": self.contents.damaged_headers,
            "steps": list(self.contents.rows),
            "tapes": [{"step": step, "pieces": count} for step, count in self.tapes.items()],
            "has_journal": self.has_journal,
            "journal": [_record_as_json(record) for record in self.records],
            "accepted_capacity": self.accepted_capacity,
            "verified": self.bad is not None,
            "bad": [asdict(bad) for bad in self.bad or ()],
        }

    def _state_lines(self) -> Iterator[str]:
        several = len(self.layouts) > 1
        yield format_bytes(self.state_bytes) + (" on all ranks" if self.ranks > 1 else "")
        for layout, ranks in self.layouts:
            where = "rank" if len(ranks) == 1 else "ranks"
            if several:
                yield f"  on {where} {as_ranges(ranks)}: {format_bytes(layout.nbytes)}"
            for field in layout.fields:
                shape = " x ".join(f"{count:,}" for count in field.shape) or "scalar"
                yield f"  {printable(field.name)}  {printable(field.dtype.name)}  {shape}"

    def _rows_line(self) -> str:
        line = f"{self.contents.used:,} used of {self.rows:,}"
        if self.contents.stale:
            line += f"; {self.contents.stale:,} from an earlier evaluation or superseded"
        if self.contents.disagreeing:
            line += f"; {self.contents.disagreeing:,} not written by all ranks"
        if self.contents.damaged_entries:
            line += f"; {self.contents.damaged_entries:,} DAMAGED in the index"
        return line

    def _steps_lines(self) -> list[str]:
        steps = list(self.contents.rows)
        if not steps:
            return ["none"]
        return [f"{len(steps):,}: {as_ranges(steps)}"]

    def _tapes_lines(self) -> Iterator[str]:
        if not self.piece_layouts:
            return
        pieces, tapes = self.contents.pieces, self.tapes
        yield f"{len(tapes):,}: {as_ranges(list(tapes))}" if tapes else "none"
        size = sum(layout.nbytes * len(ranks) for layout, ranks in self.piece_layouts)
        each = format_bytes(size) + (" on all ranks" if self.ranks > 1 else "")
        yield f"  in {format_count(len(pieces), 'piece')} of {each}"

    def _journal_lines(self) -> list[str]:
        if not self.has_journal:
            return ["none: no run can be resumed from this file"]
        lines = [_record_line(record) for record in self.records]
        if not lines:
            lines = ["no record that all ranks agree on: a resumed run would start anew"]
        if self.contents.damaged_headers:
            lines.append(f"{self.contents.damaged_headers:,} DAMAGED headers of records")
        if self.records and self.accepted_capacity:
            accepted = self.records[0].header.accepted
            lines.append(f"{accepted:,} accepted steps, of at most {self.accepted_capacity:,}")
        return lines

    def _checksum_lines(self) -> Iterator[str]:
        if self.bad is None:
            yield "not verified (--verify)"
        elif not self.bad:
            tapes = f" and {format_count(len(self.tapes), 'tape')}" if self.piece_layouts else ""
            yield f"match for all of {format_count(len(self.contents.rows), 'state')}{tapes}"
        else:
            yield f"do NOT match for {format_count(len(self.bad), 'part')}:"
            for bad in self.bad:
                piece = None if bad.piece is None else piece_key(bad.step, bad.piece)
                what = described(bad.step if piece is None else piece)
                yield f"  {what}, row {bad.row}, rank {bad.rank}"


def inspect_file(path: str, *, verify: bool = False) -> SnapshotSummary:
    """Return what a snapshot file holds. Reads its index, and with `verify` all its states.

    Shows a progress bar while verifying, if standard error is a terminal.

    Raises
    ------
    SnapshotFileError
        The file is not a snapshot file of this version, or its structure is damaged.
    """
    with open_snapshots(path) as snapshots:
        file_bytes, disk_bytes = snapshots.sizes
        structure = snapshots.structure
        contents = snapshots.contents()
        return SnapshotSummary(
            path=path,
            problem=structure.problem,
            ranks=snapshots.num_ranks,
            file_bytes=file_bytes,
            disk_bytes=disk_bytes,
            layouts=_grouped(structure.layouts),
            piece_layouts=_grouped(structure.pieces),
            rows=structure.rows,
            contents=contents,
            has_journal=bool(structure.journals),
            records=tuple(snapshots.journal(verify=verify)),
            accepted_capacity=structure.accepted_steps,
            bad=tuple(_bad_parts(snapshots, contents)) if verify else None,
        )


def as_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text: "0 ... 960 by 40, 963, 967"."""
    runs: list[str] = []
    first = 0
    while first < len(numbers):
        if len(runs) == MAX_RANGES:
            return ", ".join(runs) + f" and {len(numbers) - first:,} more"
        stop = first + 1
        stride = numbers[stop] - numbers[first] if stop < len(numbers) else 1
        while stop < len(numbers) and numbers[stop] - numbers[stop - 1] == stride:
            stop += 1
        if stop - first < MIN_IN_RANGE:
            stop = first + 1
            runs.append(f"{numbers[first]}")
        else:
            by = f" by {stride}" if stride > 1 else ""
            runs.append(f"{numbers[first]} ... {numbers[stop - 1]}{by}")
        first = stop
    return ", ".join(runs)


def _bad_parts(snapshots: Snapshots, contents: Contents) -> Iterator[BadPart]:
    """Read every state and tape, and yield each part whose checksum does not match."""
    layouts, pieces = snapshots.structure.layouts, snapshots.structure.pieces
    total = len(contents.rows) * sum(layout.nbytes for layout in layouts)
    total += len(contents.pieces) * sum(layout.nbytes for layout in pieces)
    with Bar(
        total=total, unit="B", unit_scale=True, desc="verifying", disable=not sys.stderr.isatty()
    ) as bar:
        for key, row in [*contents.rows.items(), *contents.pieces.items()]:
            for rank in range(len(layouts)):
                reason = snapshots.check(key, row, rank, bar.update)
                if reason is not None:
                    yield BadPart(first_step(key), piece_of(key), row, rank, reason)


def _grouped(
    layouts: Sequence[StateLayout],
) -> tuple[tuple[StateLayout, tuple[int, ...]], ...]:
    ranks: dict[StateLayout, list[int]] = {}
    for rank, layout in enumerate(layouts):
        ranks.setdefault(layout, []).append(rank)
    return tuple((layout, tuple(having)) for layout, having in ranks.items())


def _first(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines, cut short if there are very many."""
    for number, line in enumerate(lines):
        if number > MAX_LINES:
            yield "  and more (--json lists all)"
            return
        yield line


def _record_line(record: JournalRecord) -> str:
    note = record.header
    where = PHASES[note.phase].format(step=f"{note.step:,}")
    if note.num_steps is not None:
        where += f" of {note.num_steps:,}"
    line = f"record {record.number}: {where}"
    if note.phase != "begun":
        line += f", cost {note.cost:.10g}, {format_seconds(max(0.0, note.seconds))} into the run"
    return line + {None: "", True: "; intact", False: "; NOT intact"}[record.is_whole]


def _record_as_json(record: JournalRecord) -> dict[str, Any]:
    note = record.header
    return {
        "number": record.number,
        "phase": note.phase,
        "step": note.step,
        "num_steps": note.num_steps,
        "cost": note.cost if math.isfinite(note.cost) else None,
        "evaluation": note.evaluation,
        "data": dict(note.data),
        "seconds": note.seconds,
        "accepted": note.accepted,
        "whole": record.is_whole,
    }
