"""How fast each storage engine is on this machine and in this folder: measured, and as a table.

Everything is measured twice: with all cores that the process may use, and with the computation and
its transfers on one core, as on a node where every core has a rank.
"""

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
from adjoint.reporting.columns import aligned
from adjoint.storage.engines.registry import candidate_names
from adjoint.units import format_bytes, format_count, format_seconds, format_speed

__all__ = ["STATE_BYTES", "EngineRow", "as_text", "probe_engines"]

STATE_BYTES = (64 << 10, 2 << 20, 16 << 20)
"""Sizes measured by default: from 64 KiB, where posting counts, to 16 MiB, where bandwidth does."""

HEADINGS = ("engine", "write", "read", "in call", "hidden", "read hidden", "slowdown")


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine, on states of one size, with one number of cores."""

    state_bytes: int
    """On each rank."""
    cores: int
    """Shared by the computation and the transfers of a rank."""
    engine: str
    """As `adjoint.Functional` takes it: "mpi", "thread" or "direct"."""
    costs: TransferCosts | None
    """Measured; None if the engine cannot be used there."""
    refusal: str
    """Why it cannot be used; else empty."""
    reason: str
    """Why a gradient would use it; empty if it would use another."""

    @property
    def used(self) -> bool:
        """Whether a gradient would use it."""
        return bool(self.reason)

    def as_json(self) -> dict[str, Any]:
        """Return it in types that JSON has: seconds, bytes per second, shares."""
        known = {
            "state_bytes": self.state_bytes,
            "cores": self.cores,
            "engine": self.engine,
            "used": self.used,
            "reason": self.reason,
            "refusal": self.refusal,
        }
        costs = self.costs
        if costs is None:
            return known
        measured = asdict(costs)
        measured["name"] = measured.pop("engine")
        return {
            **known,
            **measured,
            "write_bytes_per_second": _speed(self, costs.write_seconds),
            "read_bytes_per_second": _speed(self, costs.read_seconds),
            "hidden_share": costs.hidden_share,
            "read_hidden_share": costs.read_hidden_share,
        }


def probe_engines(
    folder: str | os.PathLike[str],
    state_bytes: Sequence[int] = STATE_BYTES,
    comm: Communicator | None = None,
) -> list[EngineRow]:
    """Measure each engine with states of these sizes. Collective on `comm`; same result everywhere.

    A step of the computation beside the transfers copies the state. Takes a second or two for each
    size, and again for one core if there are more; memory for seven states on each rank; and
    temporary files of 64 MiB, or of six states if that is more, in `folder`.

    Parameters
    ----------
    folder
        On the file system to be measured.
    state_bytes
        On each rank.
    comm
        The ranks, from `adjoint.parallel.communicator`; by default this process alone.

    Raises
    ------
    ArgumentError
        On every rank: `folder` is not a folder.
    SnapshotFileError
        On every rank: no snapshot file can be created there.
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
    """Return a table for each size and number of cores, and which engine would be used, and why."""
    tables: list[str] = []
    for (size, cores), group in groupby(rows, key=lambda row: (row.state_bytes, row.cores)):
        together = list(group)
        where = f"computation and transfers on {format_count(cores, 'core')}"
        lines = [f"States of {format_bytes(size)}, {where}", ""]
        measured = [_cells(row) for row in together if row.costs]
        lines += [f"  {line}" for line in aligned([HEADINGS, *measured], left={0})]
        lines += [f"  {row.engine}: {row.refusal}" for row in together if row.refusal]
        if any(row.costs and row.costs.cached for row in together):
            lines.append("  * through the page cache: an upper bound, as long as that has room")
        lines.append("")
        lines += [
            f"A gradient would use {row.engine}: {row.reason}." for row in together if row.used
        ]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _probed(
    folder: str | os.PathLike[str], state_bytes: int, comm: Communicator
) -> list[EngineRow]:
    engines = candidate_names(comm)
    probe = synthetic_probe(state_bytes, comm)
    survey = probe.engines(engines, opener(folder, comm), exhaustive=True)
    choice = choose_engine(survey)
    cores = min(comm.gather(_cores()))
    return [_row(engine, survey, choice, state_bytes, cores) for engine in engines]


def _row(engine: str, survey: Survey, choice: Choice, state_bytes: int, cores: int) -> EngineRow:
    refusal = survey.refused.get(engine)
    return EngineRow(
        state_bytes=state_bytes,
        cores=cores,
        engine=engine,
        costs=survey.found.get(engine),
        refusal="" if refusal is None else str(refusal),
        reason=choice.reason if engine == choice.engine else "",
    )


def _cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


@contextmanager
def _one_core(rank: int) -> Generator[None, None, None]:
    """Pin this thread, and those it starts, to one core; ranks to different ones if possible."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[rank % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _cells(row: EngineRow) -> tuple[str, ...]:
    costs = row.costs
    assert costs is not None
    return (
        costs.engine + (" *" if costs.cached else ""),
        format_speed(_speed(row, costs.write_seconds)),
        format_speed(_speed(row, costs.read_seconds)),
        format_seconds(costs.post_seconds),
        f"{costs.hidden_share:.0%}",
        f"{costs.read_hidden_share:.0%}",
        f"{costs.slowdown:.2f}",
    )


def _speed(row: EngineRow, seconds: float) -> float:
    """Return bytes per second of one rank."""
    return row.state_bytes / seconds if seconds > 0 else 0.0
