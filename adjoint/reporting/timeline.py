"""When each action of a sweep ran, and each transfer: for a picture, and for a trace viewer.

`Timeline.write` makes a file in the trace-event format (Google's "Trace Event Format", JSON
object form), which Perfetto (ui.perfetto.dev) and Chrome's ``about:tracing`` open: a process a
rank, one track for the computation and one for the transfers.
"""

import json
import os
import time
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from adjoint.parallel import Communicator
from adjoint.sweep.observers import Observer

__all__ = ["Event", "Timeline"]

COMPUTE, TRANSFER = 0, 1


class Event(NamedTuple):
    """One action or transfer; times in seconds since the sweep began."""

    name: str
    start_step: int
    stop_step: int
    began: float
    ended: float
    is_transfer: bool


class Timeline(Observer):
    """What happened when, on this rank. Forty bytes an event, in the order in which they ended."""

    def __init__(self) -> None:
        self.origin = time.perf_counter()
        self._names: list[str] = []
        self._kinds = array("i")
        self._steps = array("q")
        self._times = array("d")

    def __iter__(self) -> Iterator[Event]:
        for i, kind in enumerate(self._kinds):
            start, stop = self._steps[2 * i], self._steps[2 * i + 1]
            began, ended = self._times[2 * i], self._times[2 * i + 1]
            yield Event(self._names[kind // 2], start, stop, began, ended, kind % 2 == TRANSFER)

    def on_action(self, action: Any, began: float, ended: float) -> None:
        start = getattr(action, "start", getattr(action, "step", -1))
        stop = getattr(action, "stop", start)
        self._add(2 * self._number(type(action).__name__) + COMPUTE, start, stop, began, ended)

    def on_transfer(self, name: str, step: int, began: float, ended: float) -> None:
        self._add(2 * self._number(name) + TRANSFER, step, step, began, ended)

    def on_pause(self, name: str, step: int, began: float, ended: float) -> None:
        self._add(2 * self._number(name) + COMPUTE, step, step, began, ended)

    def write(self, path: str | os.PathLike[str], comm: Communicator) -> None:
        """Write every rank's events to one file, on rank 0. Collective."""
        ranks = comm.gather(list(self) if comm.rank else None)
        error: Exception | None = None
        if comm.rank == 0:
            ranks[0] = list(self)
            events = [trace for rank, own in enumerate(ranks) for trace in _traced(rank, own)]
            try:
                with open(path, "w", encoding="utf-8") as file:
                    json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)
            except OSError as failure:
                error = failure
        comm.agree(error)

    def _number(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def _add(self, kind: int, start: int, stop: int, began: float, ended: float) -> None:
        self._kinds.append(kind)
        self._steps.extend((start, stop))
        self._times.extend((began - self.origin, ended - self.origin))


def _traced(rank: int, events: list[Event]) -> Iterator[dict[str, Any]]:
    yield {"name": "process_name", "ph": "M", "pid": rank, "args": {"name": f"rank {rank}"}}
    for event in events:
        yield {
            "name": event.name,
            "cat": "transfer" if event.is_transfer else "compute",
            "ph": "X",
            "ts": round(1e6 * event.began, 3),
            "dur": round(1e6 * (event.ended - event.began), 3),
            "pid": rank,
            "tid": int(event.is_transfer),
            "args": {"start": event.start_step, "stop": event.stop_step},
        }
