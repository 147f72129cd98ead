"""What each engine does on this machine, in this folder: measured, and set out in a table.

With the cores as this process has them, and with the computation and its transfers on one core:
that is what a node is like where every core has its rank.
"""

import math
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from adjoint.errors import ArgumentError
from adjoint.measurement.engines import Choice, Survey, choose_engine
from adjoint.measurement.synthetic import opener, synthetic_probe
from adjoint.measurement.transfers import TransferCosts
from adjoint.parallel import Communicator, communicator
from adjoint.storage.engines.registry import engine_names
from adjoint.units import format_bytes, format_seconds, format_speed

__all__ = ["STATE_BYTES", "EngineRow", "as_json", "as_text", "probe_engines"]

STATE_BYTES = (64 << 10, 2 << 20, 16 << 20)
"""States that are looked at if no others are asked for."""

HEADINGS = ("engine", "write", "read", "in call", "hidden", "read hidden", "slowdown")


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine, on states of one size, with so many cores."""

    state_bytes: int
    """On each rank."""
    cores: int
    """What the computation and the transfers of a rank share, at the most."""
    engine: str
    """As `adjoint.Functional` has it: "mpi", "thread" or "direct"."""
    overlap: TransferCosts | None
    """What was measured; None if the engine cannot be used there."""
    refusal: str
    """Why it cannot be used."""
    reason: str
    """If it is the one to be used: why."""

    @property
    def used(self) -> bool:
        """Whether it is the one that a gradient would use."""
        return bool(self.reason)

    def in_words(self) -> str:
        """Return why it is to be used: a sentence."""
        return f"{self.reason[:1].upper()}{self.reason[1:]}."

    def numbers(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        measured: dict[str, Any] = {}
        if self.overlap is not None:
            measured = asdict(self.overlap)
            measured["name"] = measured.pop("engine")
            measured["write_bytes_per_second"] = _speed(self, self.overlap.write_seconds)
            measured["read_bytes_per_second"] = _speed(self, self.overlap.read_seconds)
            measured["hidden_share"] = self.overlap.hidden_share
            measured["read_hidden_share"] = self.overlap.read_hidden_share
        return {
            "state_bytes": self.state_bytes,
            "cores": self.cores,
            "engine": self.engine,
            "used": self.used,
            "reason": self.reason,
            "refusal": self.refusal,
            **measured,
        }


def probe_engines(
    folder: str | os.PathLike[str],
    state_bytes: Sequence[int] = STATE_BYTES,
    comm: Communicator | None = None,
) -> list[EngineRow]:
    """Return what each engine does with states of these sizes, on every rank. Collective on `comm`.

    The computation is a stand-in, which copies its state. Takes a second or two for each size, and
    as much again with one core, where there are more. Needs seven states of memory on each rank;
    temporary files of some 64 MiB, or six states if that is more, in `folder` are removed again.

    Parameters
    ----------
    folder
        On the file system in question.
    state_bytes
        On each rank.
    comm
        The ranks, from `adjoint.parallel.communication.communicator`.

    Raises
    ------
    ArgumentError
        On every rank: `folder` is not a folder.
    SnapshotFileError
        On every rank: there can be no snapshot file in it.
    TransferError
        On every rank: a write or a read failed.
    """
    comm = communicator(None) if comm is None else comm
    is_folder = comm.gather(os.path.isdir(folder))[0]
    if not is_folder:
        raise ArgumentError(f"cannot probe {os.fspath(folder)!r}: it is not a folder")
    rows: list[EngineRow] = []
    for size in state_bytes:
        rows += _probed(folder, size, comm)
        if min(comm.gather(_cores())) > 1:
            with _one_core(comm.rank):
                rows += _probed(folder, size, comm)
    return rows


def as_text(rows: Iterable[EngineRow]) -> str:
    """Return tables of the rows, one for each size and number of cores."""
    tables: list[str] = []
    for (size, cores), group in groupby(rows, key=lambda row: (row.state_bytes, row.cores)):
        together = list(group)
        share = "1 core" if cores == 1 else f"{cores} cores"
        lines = [f"States of {format_bytes(size)}, computation and transfers on {share}", ""]
        lines += _aligned([HEADINGS, *(_cells(row) for row in together if row.overlap)])
        lines += [f"  {row.engine}: {row.refusal}" for row in together if row.refusal]
        if any(row.overlap and row.overlap.cached for row in together):
            lines.append(
                "  * through the page cache: at most so fast, for as long as that has room"
            )
        lines += [
            "",
            *(f"To be used: {row.engine}. {row.in_words()}" for row in together if row.used),
        ]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def as_json(rows: Iterable[EngineRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON can hold them: seconds, bytes a second, shares."""
    return [row.numbers() for row in rows]


# -- measuring --------------------------------------------------------------------------------


def _probed(
    folder: str | os.PathLike[str], state_bytes: int, comm: Communicator
) -> list[EngineRow]:
    engines = engine_names(comm)
    probe = synthetic_probe(state_bytes, comm)
    survey = probe.engines(engines, opener(folder, comm), seconds=math.inf)
    choice = choose_engine(survey)
    cores = min(comm.gather(_cores()))
    return [_row(engine, survey, choice, state_bytes, cores) for engine in engines]


def _row(engine: str, survey: Survey, choice: Choice, state_bytes: int, cores: int) -> EngineRow:
    refusal = survey.refused.get(engine)
    return EngineRow(
        state_bytes=state_bytes,
        cores=cores,
        engine=engine,
        overlap=survey.found.get(engine),
        refusal="" if refusal is None else str(refusal),
        reason=choice.reason if engine == choice.engine else "",
    )


def _cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


@contextmanager
def _one_core(rank: int) -> Generator[None, None, None]:
    """Have this thread, and those it starts, on one core; ranks on different ones if possible."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[rank % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


# -- setting out ------------------------------------------------------------------------------


def _cells(row: EngineRow) -> tuple[str, ...]:
    overlap = row.overlap
    assert overlap is not None
    return (
        overlap.engine + (" *" if overlap.cached else ""),
        format_speed(_speed(row, overlap.write_seconds)),
        format_speed(_speed(row, overlap.read_seconds)),
        format_seconds(overlap.post_seconds),
        f"{overlap.hidden_share:.0%}",
        f"{overlap.read_hidden_share:.0%}",
        f"{overlap.slowdown:.2f}",
    )


def _aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Return lines whose cells are as wide as the widest of their column."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned: list[str] = []
    for first, *others in lines:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        aligned.append("  ".join([f"  {first.ljust(widths[0])}", *cells]))
    return aligned


def _speed(row: EngineRow, seconds: float) -> float:
    """Return bytes a second, of one rank."""
    return row.state_bytes / seconds if seconds > 0 else 0.0
