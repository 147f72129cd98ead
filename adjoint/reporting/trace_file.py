"""When each action of a run ran, read back from the file that ``trace=`` wrote.

That is a file in the trace-event format (see `adjoint.reporting.timeline`): complete events
(``"ph": "X"``), a process a rank, those of category ``transfer`` apart from those of the
computation. Events of other kinds, from other programs, are left out. Millions of events take 48
bytes each, once read.
"""

import json
import os
from array import array
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.simulation.timeline import Segments
from adjoint.units import format_seconds

__all__ = ["RankTimeline", "RecordedTimeline"]

COMPUTING = ("Advance", "Record", "Turn", "PullBack")
"""What takes steps, or takes them back."""

WAITING = "Wait"

WRITING, READING = "Write", "Read"

DOWNWARDS = "PullBack"
"""Goes from its later step to the earlier."""

MOST_STEP = 1 << 62

LONGEST_MICROSECONDS = 1e18

MOST_RANKS_TOLD = 16

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RankTimeline:
    """One rank's events, in the order in which they began; times in seconds."""

    rank: int
    names: tuple[str, ...]
    """Of the kinds of events, transfers included."""
    kinds: NDArray[np.int64]
    """Of each event: a number of `names`."""
    starts: NDArray[np.int64]
    """The step each begins at, or whose state it deals with; -1 where there is none."""
    stops: NDArray[np.int64]
    begins: Floats
    ends: Floats
    transfers: NDArray[np.bool_]
    """Whether it went on beside the computation."""

    def which(self, names: Collection[str]) -> NDArray[np.bool_]:
        """Return which events are of kinds of these names."""
        wanted = [number for number, name in enumerate(self.names) if name in names]
        return np.isin(self.kinds, wanted)

    def intervals(self, names: Collection[str]) -> Floats:
        """Return when events of these names went on; shape (count, 2), in order, none overlap."""
        which = self.which(names)
        return _merged(self.begins[which], self.ends[which])

    def seconds(self, name: str) -> float:
        """Return how long events of a name took, together."""
        which = self.which([name])
        return float((self.ends - self.begins)[which].sum())

    def segments(self, name: str, lowest: int = 0) -> Segments:
        """Return events of a name as lines from step to step, steps counted from `lowest`."""
        which = self.which([name])
        made = Segments()
        first, last = self.starts[which] - lowest, self.stops[which] - lowest
        if name == DOWNWARDS:
            first, last = last, first
        for kept, values in (
            (made.starts, first),
            (made.stops, last),
            (made.begins, self.begins[which]),
            (made.ends, self.ends[which]),
        ):
            kept.frombytes(np.ascontiguousarray(values).tobytes())
        return made

    def within(self, since: float, until: float) -> "RankTimeline":
        """Return what went on in a part of the time, which begins at 0 then."""
        kept = (self.ends > since) & (self.begins < until)
        begins, ends = self.begins[kept], self.ends[kept]
        starts, stops = self.starts[kept], self.stops[kept]
        length = np.maximum(ends - begins, np.finfo(float).tiny)
        early = np.clip((since - begins) / length, 0, 1)
        late = np.clip((ends - until) / length, 0, 1)
        downwards = self.which([DOWNWARDS])[kept]
        first, last = np.where(downwards, late, early), np.where(downwards, early, late)
        steps = stops - starts
        return RankTimeline(
            self.rank,
            self.names,
            self.kinds[kept],
            starts + np.rint(first * steps).astype(np.int64),
            stops - np.rint(last * steps).astype(np.int64),
            np.maximum(begins, since) - since,
            np.minimum(ends, until) - since,
            self.transfers[kept],
        )

    def as_text(self) -> str:
        """Return how the transfers went, and the waits, in words."""
        moving = self.intervals((WRITING, READING))
        waits = np.flatnonzero(self.which([WAITING]))
        told = [f"rank {self.rank}:"]
        if len(moving):
            busy = float((moving[:, 1] - moving[:, 0]).sum())
            counts = [_number_of(int(self.which([n]).sum()), n.lower()) for n in (WRITING, READING)]
            hidden = _shared(moving, self.intervals(COMPUTING)) / busy if busy else 1.0
            told.append(
                f"{' and '.join(counts)} were under way for {format_seconds(busy)}, "
                f"{hidden:.1%} of that while steps were computed;"
            )
        else:
            told.append("no transfers;")
        if len(waits):
            lengths = (self.ends - self.begins)[waits]
            number = _number_of(len(waits), "wait")
            longest = waits[int(lengths.argmax())]
            told.append(
                f"it stood still for {format_seconds(float(lengths.sum()))} in {number}, "
                f"the longest {format_seconds(float(lengths.max()))}, for state "
                f"{self.starts[longest]:,} at {format_seconds(float(self.begins[longest]))}."
            )
        else:
            told.append("it never waited.")
        return " ".join(told)


@dataclass(frozen=True, slots=True)
class RecordedTimeline:
    """The events of all ranks."""

    path: str
    ranks: tuple[RankTimeline, ...]
    seconds: float
    """From the beginning to the end of the part that is looked at."""
    since: float
    """Where that part begins."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "RecordedTimeline":
        """Return what a run has traced. Takes a few seconds a million events.

        Raises
        ------
        ArgumentError
            It cannot be read, or is not a trace of a run.
        """
        name = os.fspath(path)
        collected = _Collected()
        try:
            with open(path, encoding="utf-8") as file:
                json.load(file, object_hook=collected.take)
        except OSError as error:
            raise ArgumentError(f"cannot read the trace {name!r}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise ArgumentError(f"{name!r} is not a trace of a run: {error}") from None
        ranks = collected.ranks()
        if not ranks:
            raise ArgumentError(f"{name!r} is not a trace of a run: there are no events in it")
        seconds = max(float(rank.ends.max()) for rank in ranks)
        return cls(name, ranks, seconds, 0.0)

    def within(self, since: float | None, until: float | None) -> "RecordedTimeline":
        """Return a part of the time, given in seconds from the beginning.

        Raises
        ------
        ArgumentError
            Nothing happened in it.
        """
        begins = 0.0 if since is None else since
        ends = self.seconds if until is None else min(until, self.seconds)
        ranks = tuple(rank.within(begins, ends) for rank in self.ranks)
        if begins >= ends or not any(len(rank.kinds) for rank in ranks):
            raise ArgumentError(
                f"nothing happened from {begins} s to {ends} s: the run took {self.seconds:.6g} s"
            )
        return RecordedTimeline(self.path, ranks, ends - begins, self.since + begins)

    def as_text(self) -> str:
        """Return how long each kind of action took, and how the transfers went."""
        events = sum(len(rank.kinds) for rank in self.ranks)
        ranks = "1 rank" if len(self.ranks) == 1 else f"{len(self.ranks):,} ranks"
        part = f"{format_seconds(self.seconds)}"
        if self.since:
            part += f" from {format_seconds(self.since)} on"
        lines = [f"{self.path}: {ranks}, {part}, {events:,} events", "", *self._table(), ""]
        lines += [rank.as_text() for rank in self.ranks[:MOST_RANKS_TOLD]]
        if len(self.ranks) > MOST_RANKS_TOLD:
            lines.append(f"and {len(self.ranks) - MOST_RANKS_TOLD:,} ranks more")
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """Return a row for each kind of action of the computation, the longest first."""
        names = dict.fromkeys(name for rank in self.ranks for name in rank.names)
        rows: list[tuple[str, int, Floats]] = []
        for name in names:
            counts = [int((rank.which([name]) & ~rank.transfers).sum()) for rank in self.ranks]
            if any(counts):
                times = np.array([rank.seconds(name) for rank in self.ranks])
                rows.append((name, max(counts), times))
        rows.sort(key=lambda row: -float(row[2].mean()))
        between = self.seconds - sum((row[2] for row in rows), np.zeros(len(self.ranks)))
        rows.append(("between", 0, np.maximum(0.0, between)))
        lines = [f"{'action':10}{'times':>12}{'time':>12}{'share':>8}"]
        if len(self.ranks) > 1:
            lines[0] += f"{'least':>12}{'most':>12}"
        for name, count, times in rows:
            mean = float(times.mean())
            line = f"{name:10}{count or '':>12,}" if count else f"{name:10}{'':>12}"
            line += f"{format_seconds(mean):>12}{mean / self.seconds if self.seconds else 0:>8.1%}"
            if len(self.ranks) > 1:
                low, high = float(times.min()), float(times.max())
                line += f"{format_seconds(low):>12}{format_seconds(high):>12}"
            lines.append(line)
        return lines


class _Collected:
    """Events, as they are met in a trace; none is kept as JSON."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._kinds = array("q")
        self._ranks = array("q")
        self._steps = array("q")
        self._times = array("d")

    def take(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Take note of a JSON object if it is an event, and drop it; else return it."""
        if "ph" not in item:
            return item
        if item["ph"] == "X":
            self._add(item)
        return None

    def ranks(self) -> tuple[RankTimeline, ...]:
        """Return the events of each rank."""
        kinds = np.array(self._kinds, np.int64)
        ranks = np.array(self._ranks, np.int64)
        steps = np.array(self._steps, np.int64).reshape(-1, 2)
        times = np.array(self._times, np.float64).reshape(-1, 2) / 1e6
        names = tuple(name for name, _ in sorted(self._names.items(), key=lambda item: item[1]))
        made: list[RankTimeline] = []
        for rank in np.unique(ranks).tolist():
            own = np.flatnonzero(ranks == rank)
            own = own[np.argsort(times[own, 0], kind="stable")]
            made.append(
                RankTimeline(
                    rank,
                    names,
                    kinds[own] // 2,
                    steps[own, 0],
                    steps[own, 1],
                    times[own, 0],
                    times[own, 1],
                    kinds[own] % 2 == 1,
                )
            )
        return tuple(made)

    def _add(self, event: dict[str, Any]) -> None:
        name, rank, began, length, steps = _values(event, len(self._kinds))
        number = self._names.setdefault(name, len(self._names))
        self._kinds.append(2 * number + (event.get("cat") == "transfer"))
        self._ranks.append(rank)
        self._steps.extend(steps)
        self._times.extend((began, began + length))


def _values(event: dict[str, Any], ordinal: int) -> tuple[str, int, float, float, tuple[int, int]]:
    """Return name, rank, beginning, length and steps of an event; `ValueError` if it has none."""
    name, rank = event.get("name"), event.get("pid")
    began, length = event.get("ts"), event.get("dur")
    if not isinstance(name, str) or type(rank) is not int or not 0 <= rank < MOST_STEP:
        raise ValueError(f"event {ordinal} has no name or no rank: {str(event)[:99]}")
    if not _is_time(began) or not _is_time(length) or length < 0:
        raise ValueError(f"event {ordinal} has no time: {str(event)[:99]}")
    arguments = event.get("args")
    steps = arguments if isinstance(arguments, dict) else {}
    start = steps.get("start", -1)
    stop = steps.get("stop", start)
    for step in (start, stop):
        if type(step) is not int or not -1 <= step < MOST_STEP:
            raise ValueError(f"event {ordinal} has the steps {str(steps)[:99]}")
    return name, rank, began, length, (start, stop)


def _is_time(value: Any) -> TypeGuard[float]:
    return type(value) in {int, float} and abs(value) < LONGEST_MICROSECONDS


def _number_of(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _merged(begins: Floats, ends: Floats) -> Floats:
    """Return the union of intervals, given in order of their beginnings, as disjoint ones."""
    if not len(begins):
        return np.empty((0, 2))
    latest = np.maximum.accumulate(ends)
    first = np.flatnonzero(np.append(True, begins[1:] > latest[:-1]))
    last = np.append(first[1:], len(begins)) - 1
    return np.column_stack([begins[first], latest[last]])


def _shared(some: Floats, others: Floats) -> float:
    """Return how long both went on; disjoint intervals in order, of either."""
    if not len(some) or not len(others):
        return 0.0
    edges = others.reshape(-1)
    lengths = np.column_stack([np.zeros(len(others)), others[:, 1] - others[:, 0]])
    upto = lengths.reshape(-1).cumsum()
    return float((np.interp(some[:, 1], edges, upto) - np.interp(some[:, 0], edges, upto)).sum())
