"""Watching a sweep: an observer is called for each action, transfer and pause, on its own rank."""

from collections.abc import Sequence

from adjoint.schedules.actions import Action

__all__ = ["Observer", "Observers", "combined"]


class Observer:
    """Watches a sweep. Every method does nothing unless it is overridden.

    An observer changes nothing that the sweep uses, and does not call MPI. Times are those of
    `time.perf_counter`.
    """

    def on_action(self, action: Action, began: float, ended: float) -> None:
        """Called after an action has been carried out."""

    def on_transfer(self, name: str, step: int, began: float, ended: float) -> None:
        """Called after a transfer was waited for; `name` is "Write" or "Read"."""

    def on_pause(self, name: str, step: int, began: float, ended: float) -> None:
        """Called after the computation has waited for anything else, such as "Journal"."""


class Observers(Observer):
    """Several observers as one, called in order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def on_action(self, action: Action, began: float, ended: float) -> None:
        for observer in self._observers:
            observer.on_action(action, began, ended)

    def on_transfer(self, name: str, step: int, began: float, ended: float) -> None:
        for observer in self._observers:
            observer.on_transfer(name, step, began, ended)

    def on_pause(self, name: str, step: int, began: float, ended: float) -> None:
        for observer in self._observers:
            observer.on_pause(name, step, began, ended)


def combined(observers: Sequence[Observer]) -> Observer | None:
    """Return observers as one; None if there is none, so that a sweep need not time its actions."""
    if len(observers) > 1:
        return Observers(observers)
    return observers[0] if observers else None
