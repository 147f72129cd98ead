"""Timelines of all ranks in one file, which ``trace=`` writes and ``adjoint trace`` reads.

The file is in the trace-event format (Google's "Trace Event Format", JSON object form), which
Perfetto (ui.perfetto.dev) and Chrome's ``about:tracing`` open too: a process for each rank, with a
thread for the computation and one for the transfers. Only complete events (``"ph": "X"``) are read.
"""

import json
import logging
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, TypeGuard

from adjoint.errors import ArgumentError
from adjoint.parallel import Communicator
from adjoint.simulation.timeline import NO_STEP, EventLog, Timeline, Track
from adjoint.units import format_bytes

__all__ = ["Trace", "read_trace", "require_writable", "write_trace"]

LOG = logging.getLogger("adjoint")

CATEGORIES = {
    "compute": Track.COMPUTATION,
    "transfer": Track.TRANSFERS,
    "snapshot": Track.SNAPSHOTS,
}
"""The tracks, as the field ``cat`` of an event names them."""

MAX_INTEGER = 1 << 62
"""Steps and ranks from here on are refused, so that arithmetic on them cannot overflow."""

MAX_MICROSECONDS = 1e18
"""Larger times, from thirty thousand years on, are refused: a float would lose microseconds."""

MAX_TRACE_BYTES = 1 << 30
"""Longer files are refused: these are some seven million events, and take twenty seconds."""

FIRST_BYTES = 100
"""A JSON document begins here, after spaces if need be."""

MAX_QUOTED = 99
"""Characters of a malformed event that an error message quotes."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The timelines of all ranks, or a part of them."""

    path: str
    """The file they were read from."""
    ranks: dict[int, Timeline]
    """Timelines by rank, in ascending order."""
    since: float
    until: float
    """Where the part begins and ends, in seconds from the beginning of the run."""

    @property
    def seconds(self) -> float:
        """Duration of the part."""
        return self.until - self.since

    def within(self, since: float | None, until: float | None) -> "Trace":
        """Return the part between two times, in seconds from the beginning; None is no limit.

        Raises
        ------
        ArgumentError
            Nothing happened between them.
        """
        begins = self.since if since is None else since
        ends = self.until if until is None else min(until, self.until)
        ranks = {rank: timeline.within(begins, ends) for rank, timeline in self.ranks.items()}
        if begins >= ends or not any(map(len, ranks.values())):
            raise ArgumentError(
                f"nothing happened from {begins} s to {ends} s: the run took {self.seconds:.6g} s"
            )
        return Trace(self.path, ranks, begins, ends)


def require_writable(path: str, comm: Communicator) -> None:
    """Raise on every rank unless rank 0 can write a file; an existing file keeps its content.

    Raises
    ------
    ArgumentError
        The file cannot be opened.
    """
    error: ArgumentError | None = None
    if comm.rank == 0:
        is_new = not os.path.exists(path)
        try:
            with open(path, "ab"):
                pass
            if is_new:
                os.unlink(path)
        except OSError as failure:
            reason = failure.strerror or failure
            error = ArgumentError(f"trace={path!r} cannot be written ({reason}): give another path")
    comm.agree(error)


def write_trace(path: str, timeline: Timeline, comm: Communicator) -> None:
    """Write every rank's timeline to one file, on rank 0. Collective on `comm`.

    If the file cannot be written, that is logged: no result is lost for it.
    """
    timelines = comm.gather(timeline)
    if comm.rank:
        return
    events = [item for rank, own in enumerate(timelines) for item in _as_json(rank, own)]
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)
    except OSError as failure:
        LOG.warning("the trace %s is not complete: %s", path, failure)


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """Read the timelines of all ranks. Takes a few seconds a million events.

    Raises
    ------
    ArgumentError
        The file cannot be read, or is not a trace of a run.
    """
    name = os.fspath(path)
    reader = _Reader()
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            _require_document(file, name)
            json.load(file, object_hook=reader.take)
    except OSError as error:
        raise ArgumentError(f"cannot read the trace {name!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{name!r} is not a trace of a run: {error}") from None
    except MemoryError:
        raise ArgumentError(f"the trace {name!r} does not fit into memory") from None
    if not reader.logs:
        raise ArgumentError(f"{name!r} is not a trace of a run: it contains no events")
    ranks = {rank: log.timeline() for rank, log in sorted(reader.logs.items())}
    return Trace(name, ranks, 0.0, max(timeline.end for timeline in ranks.values()))


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to and a terminal are opened at once, too."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _require_document(file: IO[bytes], name: str) -> None:
    """Raise unless a file may be JSON, and is no longer than a trace that is read."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ArgumentError(f"the trace {name!r} is not a regular file")
    if status.st_size > MAX_TRACE_BYTES:
        raise ArgumentError(
            f"the trace {name!r} takes {format_bytes(status.st_size)}: at most "
            f"{format_bytes(MAX_TRACE_BYTES)} can be read; record a shorter run"
        )
    if file.read(FIRST_BYTES).strip()[:1] not in {b"{", b"["}:
        raise ArgumentError(f"{name!r} is not a trace of a run: it does not begin as JSON does")
    file.seek(0)


def _as_json(rank: int, timeline: Timeline) -> Iterator[dict[str, Any]]:
    yield {"name": "process_name", "ph": "M", "pid": rank, "args": {"name": f"rank {rank}"}}
    categories = {track: name for name, track in CATEGORIES.items()}
    for event in timeline:
        yield {
            "name": event.name,
            "cat": categories[event.track],
            "ph": "X",
            "ts": round(1e6 * event.began, 3),
            "dur": round(1e6 * (event.ended - event.began), 3),
            "pid": rank,
            "tid": int(event.track),
            "args": {"start": event.start_step, "stop": event.stop_step},
        }


class _Reader:
    """Collects events as the JSON parser finds them, so that none is kept as a dictionary."""

    def __init__(self) -> None:
        self.logs: defaultdict[int, EventLog] = defaultdict(EventLog)
        """By rank."""
        self._count = 0

    def take(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Collect a JSON object if it is an event and return None; return any other unchanged."""
        if "ph" not in item:
            return item
        if item["ph"] == "X":
            self._add(item)
            self._count += 1
        return None

    def _add(self, event: dict[str, Any]) -> None:
        """Collect an event; raise `ValueError` if a field is missing or out of range."""
        which = f"event {self._count}"
        name, rank = event.get("name"), event.get("pid")
        began, length = event.get("ts"), event.get("dur")
        if not isinstance(name, str) or type(rank) is not int or not 0 <= rank < MAX_INTEGER:
            raise ValueError(f"{which} has no name or no rank: {str(event)[:MAX_QUOTED]}")
        if not _is_time(began) or not _is_time(length) or length < 0:
            raise ValueError(f"{which} has no time: {str(event)[:MAX_QUOTED]}")
        given = event.get("args")
        steps = given if isinstance(given, dict) else {}
        start = steps.get("start", NO_STEP)
        stop = steps.get("stop", start)
        for step in (start, stop):
            if type(step) is not int or not NO_STEP <= step < MAX_INTEGER:
                raise ValueError(f"{which} has the steps {str(steps)[:MAX_QUOTED]}")
        track = CATEGORIES.get(str(event.get("cat")), Track.COMPUTATION)
        self.logs[rank].add(name, (start, stop), began / 1e6, (began + length) / 1e6, track)


def _is_time(value: Any) -> TypeGuard[float]:
    return type(value) in {int, float} and abs(value) < MAX_MICROSECONDS
