"""When things ran: the events of one process, whether simulated, recorded or read from a file.

An event is an action of the computation, a transfer that went on beside it, or the lifetime of a
snapshot. `Timeline` holds events in columns and answers questions about them; `EventLog` collects
them one by one.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.schedules.actions import (
    Action,
    Advance,
    Cancel,
    Discard,
    Offload,
    Prefetch,
    PullBack,
    Record,
    Restore,
    Store,
    Wait,
)

__all__ = [
    "IN_FILE",
    "IN_MEMORY",
    "NO_STEP",
    "READ",
    "WRITE",
    "Event",
    "EventLog",
    "Floats",
    "Timeline",
    "Track",
    "steps_of",
    "time_covered",
]

WRITE, READ = "Write", "Read"
"""Names of transfers. Events of the computation have the names of their actions."""

IN_MEMORY, IN_FILE = "In memory", "In file"
"""Names of the lifetimes of snapshots."""

NO_STEP = -1
"""Start and stop of an event that concerns no step."""

Floats = NDArray[np.float64]


class Track(IntEnum):
    """Events of different tracks overlap in time."""

    COMPUTATION = 0
    TRANSFERS = 1
    SNAPSHOTS = 2


class Event(NamedTuple):
    """One action, transfer or lifetime; times in seconds from the beginning of the run."""

    name: str
    start_step: int
    """The first of its steps, or the step whose state it handles; `NO_STEP` if there is none."""
    stop_step: int
    began: float
    ended: float
    track: Track = Track.COMPUTATION


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The events of one process in columns, in the order in which they were collected.

    Iterating gives each as an `Event`. The arrays, one entry an event, must not be written to.
    """

    kinds: tuple[tuple[str, Track], ...]
    """Name and track of each kind of event."""
    kind: NDArray[np.int32]
    """Index into `kinds`."""
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    begins: Floats
    """Seconds from the beginning of the run."""
    ends: Floats

    def __len__(self) -> int:
        return len(self.kind)

    def __iter__(self) -> Iterator[Event]:
        columns: tuple[NDArray[Any], ...]
        columns = (self.kind, self.starts, self.stops, self.begins, self.ends)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for kind, start, stop, began, ended in rows:
            name, track = self.kinds[kind]
            yield Event(name, start, stop, began, ended, track)

    @property
    def end(self) -> float:
        """When the last event ended, in seconds; 0 without events."""
        return float(self.ends.max(initial=0.0))

    @property
    def seconds(self) -> float:
        """The durations of all events, added up."""
        return float((self.ends - self.begins).sum())

    @property
    def is_downward(self) -> NDArray[np.bool_]:
        """Whether each event goes from its stop to its start, as a `PullBack` does."""
        wanted = [n for n, (name, _) in enumerate(self.kinds) if name == PullBack.__name__]
        return np.isin(self.kind, wanted)

    @property
    def first_steps(self) -> NDArray[np.int64]:
        """The step at which each event begins: for a `PullBack` its `stop`."""
        return np.where(self.is_downward, self.stops, self.starts)

    @property
    def last_steps(self) -> NDArray[np.int64]:
        """The step at which each event ends: for a `PullBack` its `start`."""
        return np.where(self.is_downward, self.starts, self.stops)

    def select(self, *names: str) -> "Timeline":
        """Return the events that have one of these names."""
        wanted = [number for number, (name, _) in enumerate(self.kinds) if name in names]
        return self._subset(np.isin(self.kind, wanted))

    def select_track(self, track: Track) -> "Timeline":
        """Return the events of one track."""
        wanted = [number for number, (_, own) in enumerate(self.kinds) if own == track]
        return self._subset(np.isin(self.kind, wanted))

    def intervals(self) -> Floats:
        """Return when any event was under way: disjoint, ascending intervals; shape (count, 2)."""
        if not len(self):
            return np.empty((0, 2))
        order = np.argsort(self.begins, kind="stable")
        begins, ends = self.begins[order], np.maximum.accumulate(self.ends[order])
        first = np.flatnonzero(np.append(True, begins[1:] > ends[:-1]))
        last = np.append(first[1:], len(begins)) - 1
        return np.column_stack([begins[first], ends[last]])

    def within(self, since: float, until: float) -> "Timeline":
        """Return what happened between two times, with the events cut there."""
        inside = self._subset((self.ends > since) & (self.begins < until))
        begins, ends = inside.begins, inside.ends
        length = np.maximum(ends - begins, np.finfo(float).tiny)
        early = np.clip((since - begins) / length, 0, 1)
        late = np.clip((ends - until) / length, 0, 1)
        down = inside.is_downward
        steps = inside.stops - inside.starts
        return replace(
            inside,
            starts=inside.starts + _whole(np.where(down, late, early) * steps),
            stops=inside.stops - _whole(np.where(down, early, late) * steps),
            begins=np.maximum(begins, since),
            ends=np.minimum(ends, until),
        )

    def _subset(self, chosen: NDArray[np.bool_]) -> "Timeline":
        return Timeline(
            self.kinds,
            self.kind[chosen],
            self.starts[chosen],
            self.stops[chosen],
            self.begins[chosen],
            self.ends[chosen],
        )


class EventLog:
    """Collects events: 36 bytes each, in whatever order they are added."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, Track], int] = {}
        self._kind = array("i")
        self._steps = array("q")
        self._times = array("d")

    def add(
        self,
        name: str,
        steps: tuple[int, int],
        began: float,
        ended: float,
        track: Track = Track.COMPUTATION,
    ) -> None:
        """Add an event; `steps` are its start and stop, times are in seconds."""
        self._kind.append(self._kinds.setdefault((name, track), len(self._kinds)))
        self._steps.extend(steps)
        self._times.extend((began, ended))

    def timeline(self) -> Timeline:
        """Return the events so far, copied."""
        steps = np.array(self._steps, np.int64).reshape(-1, 2)
        times = np.array(self._times, np.float64).reshape(-1, 2)
        kind = np.array(self._kind, np.int32)
        return Timeline(
            tuple(self._kinds), kind, steps[:, 0], steps[:, 1], times[:, 0], times[:, 1]
        )


def steps_of(action: Action) -> tuple[int, int]:
    """Return the start and stop of an action's steps, or twice the step whose state it handles."""
    match action:
        case Advance() | Record() | PullBack():
            return action.start, action.stop
        case Store() | Restore() | Discard() | Offload() | Prefetch() | Wait() | Cancel():
            return action.step, action.step
        case _:
            return NO_STEP, NO_STEP


def time_covered(intervals: Floats, times: Floats) -> Floats:
    """Return how much of the time before each of `times` lies in disjoint, ascending intervals."""
    if not len(intervals):
        return np.zeros(len(times))
    lengths = np.column_stack([np.zeros(len(intervals)), intervals[:, 1] - intervals[:, 0]])
    return np.interp(times, intervals.reshape(-1), lengths.reshape(-1).cumsum())


def _whole(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.rint(values).astype(np.int64)
