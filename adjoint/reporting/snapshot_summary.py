"""What a snapshot file holds, in figures: the answer of ``adjoint inspect``.

The file is only looked at, and may be anybody's: see `adjoint.storage.reader`. Names that
come from it are shown in such a way that they cannot play tricks on a terminal.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from adjoint.storage.file_format import FORMAT_VERSION
from adjoint.storage.journal_file import JournalRecord
from adjoint.storage.reader import Contents, Snapshots, open_snapshots
from adjoint.storage.state_layout import StateLayout
from adjoint.units import format_bytes, format_seconds

__all__ = ["BadPart", "Inspection", "as_ranges", "inspect_file"]

MOST_RANGES = 24
"""As many ranges of steps, different layouts and bad parts are shown; JSON has all."""

PHASES = {
    "begun": "at the start of the forward sweep",
    "forward": "in the forward sweep, at step {step}",
    "reverse": "in the reverse sweep, at step {step}",
}

FEWEST_IN_A_RANGE = 3


@dataclass(frozen=True, slots=True)
class BadPart:
    """One rank's part of a state that is not what was written."""

    step: int
    row: int
    rank: int
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a snapshot file holds, as it was when it was looked at."""

    path: str
    fingerprint: str
    """What the file is for: a hash."""
    ranks: int
    file_bytes: int
    """Its length, most of which may be sparse."""
    disk_bytes: int
    """What it takes on disk."""
    layouts: tuple[tuple[StateLayout, tuple[int, ...]], ...]
    """Each different layout of a rank's part of a state, and the ranks that have it."""
    rows: int
    """How many states there is room for."""
    contents: Contents
    has_journal: bool
    records: tuple[JournalRecord, ...]
    """Those a run could be resumed from, the latest first."""
    accepted_capacity: int
    """How many accepted steps there is room for; 0 where they are not kept."""
    bad: tuple[BadPart, ...] | None
    """What is not as it was written; None if that was not looked at."""

    @property
    def state_bytes(self) -> int:
        """One state, on all ranks."""
        return sum(layout.nbytes * len(ranks) for layout, ranks in self.layouts)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found to be wrong."""
        some_record = not self.records or any(r.is_whole is not False for r in self.records)
        return not self.bad and some_record

    def as_text(self) -> str:
        """Return what the file holds, in words."""
        made_on = "1 rank" if self.ranks == 1 else f"{self.ranks:,} ranks"
        lines = [f"{self.path}: a snapshot file of format {FORMAT_VERSION}, made on {made_on}", ""]
        for name, told in (
            ("problem", [_plain(self.fingerprint)]),
            (
                "size",
                [f"{format_bytes(self.disk_bytes)} on disk, of {format_bytes(self.file_bytes)}"],
            ),
            ("state", list(_first(self._state_lines()))),
            ("rows", [self._rows_line()]),
            ("states", self._steps_lines()),
            ("journal", self._journal_lines()),
            ("checksums", list(_first(self._checksum_lines()))),
        ):
            for title, line in zip([name, *[""] * len(told)], told, strict=False):
                lines.append(f"{title:11}{line}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return what the file holds as JSON can hold it."""
        return {
            "path": self.path,
            "format_version": FORMAT_VERSION,
            "fingerprint": self.fingerprint,
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
            "steps": list(self.contents.rows),
            "has_journal": self.has_journal,
            "journal": [_record_as_json(record) for record in self.records],
            "accepted_capacity": self.accepted_capacity,
            "verified": self.bad is not None,
            "bad": [
                {"step": bad.step, "row": bad.row, "rank": bad.rank, "reason": bad.reason}
                for bad in self.bad or ()
            ],
        }

    def _state_lines(self) -> Iterator[str]:
        several = len(self.layouts) > 1
        yield format_bytes(self.state_bytes) + (" on all ranks together" if self.ranks > 1 else "")
        for layout, ranks in self.layouts:
            where = "rank" if len(ranks) == 1 else "ranks"
            if several:
                yield f"  on {where} {as_ranges(ranks)}: {format_bytes(layout.nbytes)}"
            for field in layout.fields:
                shape = " x ".join(f"{count:,}" for count in field.shape) or "a number"
                yield f"  {_plain(field.name)}  {field.dtype.name}  {shape}"

    def _rows_line(self) -> str:
        told = f"{self.contents.used:,} used of {self.rows:,}"
        if self.contents.stale:
            told += f"; {self.contents.stale:,} of an earlier evaluation, or written again since"
        if self.contents.disagreeing:
            told += f"; {self.contents.disagreeing:,} not written by all ranks"
        return told

    def _steps_lines(self) -> list[str]:
        steps = list(self.contents.rows)
        if not steps:
            return ["none"]
        return [f"{len(steps):,}: {as_ranges(steps)}"]

    def _journal_lines(self) -> list[str]:
        if not self.has_journal:
            return ["none: no run can be resumed from this file"]
        if not self.records:
            return ["no record that all ranks agree on: a run would start afresh"]
        lines = [_record_line(record) for record in self.records]
        if self.accepted_capacity:
            accepted = self.records[0].header.accepted
            lines.append(f"{accepted:,} accepted steps, of at most {self.accepted_capacity:,}")
        return lines

    def _checksum_lines(self) -> Iterator[str]:
        if self.bad is None:
            yield "not looked at (--verify)"
        elif not self.bad:
            states = len(self.contents.rows)
            yield f"{states:,} of {states:,} states are as they were written"
        else:
            are = "part is" if len(self.bad) == 1 else "parts are"
            yield f"{len(self.bad):,} {are} NOT as written:"
            for bad in self.bad:
                yield f"  state {bad.step}, row {bad.row}, rank {bad.rank}"


def inspect_file(path: str, *, verify: bool = False) -> Inspection:
    """Return what a snapshot file holds. Reads its index, and to verify, all its states.

    A bar on the standard error shows how far that is, if it is a terminal.

    Raises
    ------
    SnapshotFileError
        It is not a snapshot file of this version, or is damaged.
    """
    with open_snapshots(path) as snapshots:
        file_bytes, disk_bytes = snapshots.sizes
        structure = snapshots.structure
        contents = snapshots.contents()
        return Inspection(
            path=path,
            fingerprint=structure.fingerprint,
            ranks=snapshots.num_ranks,
            file_bytes=file_bytes,
            disk_bytes=disk_bytes,
            layouts=_grouped(structure.layouts),
            rows=structure.rows,
            contents=contents,
            has_journal=bool(structure.journals),
            records=tuple(snapshots.journal(verify=verify)),
            accepted_capacity=structure.accepted_steps,
            bad=tuple(_bad_parts(snapshots, contents)) if verify else None,
        )


def as_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in words: "0 ... 960 by 40, 963, 967"."""
    runs: list[str] = []
    first = 0
    while first < len(numbers):
        if len(runs) == MOST_RANGES:
            return ", ".join(runs) + f" and {len(numbers) - first:,} more"
        stop = first + 1
        stride = numbers[stop] - numbers[first] if stop < len(numbers) else 1
        while stop < len(numbers) and numbers[stop] - numbers[stop - 1] == stride:
            stop += 1
        if stop - first < FEWEST_IN_A_RANGE:
            stop = first + 1
            runs.append(f"{numbers[first]}")
        else:
            by = f" by {stride}" if stride > 1 else ""
            runs.append(f"{numbers[first]} ... {numbers[stop - 1]}{by}")
        first = stop
    return ", ".join(runs)


def _bad_parts(snapshots: Snapshots, contents: Contents) -> Iterator[BadPart]:
    """Read every state; give what is not as it was written."""
    layouts = snapshots.structure.layouts
    total = len(contents.rows) * sum(layout.nbytes for layout in layouts)
    with _Bar(
        total=total, unit="B", unit_scale=True, desc="verifying", disable=not sys.stderr.isatty()
    ) as bar:
        for step, row in contents.rows.items():
            for rank in range(len(layouts)):
                reason = snapshots.check(step, row, rank, bar.update)
                if reason is not None:
                    yield BadPart(step, row, rank, reason)


class _Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """A bar without tqdm's monitor, a thread that outlives the bar."""

    monitor_interval = 0


def _grouped(
    layouts: Sequence[StateLayout],
) -> tuple[tuple[StateLayout, tuple[int, ...]], ...]:
    ranks: dict[StateLayout, list[int]] = {}
    for rank, layout in enumerate(layouts):
        ranks.setdefault(layout, []).append(rank)
    return tuple((layout, tuple(having)) for layout, having in ranks.items())


def _first(lines: Iterator[str]) -> Iterator[str]:
    """Give the lines, unless there are very many."""
    for number, line in enumerate(lines):
        if number > 2 * MOST_RANGES:
            yield "  and more (--json has all)"
            return
        yield line


def _record_line(record: JournalRecord) -> str:
    note = record.header
    where = PHASES[note.phase].format(step=f"{note.step:,}")
    if note.num_steps is not None:
        where += f" of {note.num_steps:,}"
    told = f"record {record.number}: {where}"
    if note.phase != "begun":
        told += f", cost {note.cost:.10g}, {format_seconds(max(0.0, note.seconds))} into the run"
    return told + {None: "", True: "; whole", False: "; NOT whole"}[record.is_whole]


def _record_as_json(record: JournalRecord) -> dict[str, Any]:
    note = record.header
    return {
        "number": record.number,
        "phase": note.phase,
        "step": note.step,
        "num_steps": note.num_steps,
        "cost": note.cost if math.isfinite(note.cost) else None,
        "controls": note.controls,
        "seconds": note.seconds,
        "first_sequence": note.first_sequence,
        "accepted": note.accepted,
        "whole": record.is_whole,
    }


def _plain(text: str) -> str:
    return text if text.isprintable() else ascii(text)
