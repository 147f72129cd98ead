"""Recording what a sweep does, and when, as a `Timeline`."""

import time

from adjoint.schedules.actions import Action
from adjoint.simulation.timeline import EventLog, Timeline, Track, steps_of
from adjoint.sweep.observers import Observer

__all__ = ["Timeline", "TimelineRecorder"]


class TimelineRecorder(Observer):
    """Records every action, transfer and pause on this rank: 36 bytes each.

    Times are counted from when the recorder was made.
    """

    def __init__(self) -> None:
        self._origin = time.perf_counter()
        self._log = EventLog()

    def timeline(self) -> Timeline:
        """Return what was recorded so far."""
        return self._log.timeline()

    def on_action(self, action: Action, began: float, ended: float) -> None:
        self._add(type(action).__name__, steps_of(action), began, ended, Track.COMPUTATION)

    def on_transfer(self, name: str, step: int, began: float, ended: float) -> None:
        self._add(name, (step, step), began, ended, Track.TRANSFERS)

    def on_pause(self, name: str, step: int, began: float, ended: float) -> None:
        self._add(name, (step, step), began, ended, Track.COMPUTATION)

    def _add(
        self, name: str, steps: tuple[int, int], began: float, ended: float, track: Track
    ) -> None:
        self._log.add(name, steps, began - self._origin, ended - self._origin, track)
