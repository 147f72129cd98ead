"""How a sweep is watched: by observers, each told of everything that happens, on its own rank."""

from collections.abc import Sequence

from adjoint.schedules.actions import Action

__all__ = ["Observer", "Observers"]


class Observer:
    """What is told of a sweep as it goes on. Every method does nothing unless it is overridden.

    An observer must not change anything that the sweep uses, nor call MPI. Times are those of
    `time.perf_counter`.
    """

    def on_action(self, action: Action, began: float, ended: float) -> None:
        """Take note of an action that has been carried out."""

    def on_transfer(self, name: str, step: int, began: float, ended: float) -> None:
        """Take note of a transfer that is over: `name` is "Write" or "Read"."""

    def on_pause(self, name: str, step: int, began: float, ended: float) -> None:
        """Take note of something besides the actions that the computation waited for."""


class Observers(Observer):
    """Several observers as one, told in order."""

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
