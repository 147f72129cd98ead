"""A progress bar over the steps of a sweep: forward, then reverse."""

from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from adjoint.schedules.actions import Advance, PullBack, Record
from adjoint.sweep.sweep import Handler, Handlers

__all__ = ["ProgressBar"]


class _Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """A bar without tqdm's monitor, a thread that outlives the bar."""

    monitor_interval = 0


class ProgressBar:
    """Counts each step twice: when it is first reached, and when it is reversed.

    Shown on standard error. A context manager; `watch` wraps a sweep's handlers.
    """

    def __init__(self, num_steps: int | None) -> None:
        self._frontier = 0
        self._bar = _Bar(
            total=None if num_steps is None else 2 * num_steps, unit="step", smoothing=0.05
        )

    def watch(self, handlers: Handlers) -> Handlers:
        """Return the handlers, those that pass steps moving the bar."""
        watched = dict(handlers)
        for kind in (Advance, Record):
            watched[kind] = self._forward(handlers[kind])
        watched[PullBack] = self._reverse(handlers[PullBack])
        return watched

    def _forward(self, handler: Handler) -> Handler:
        def handle(action: Any) -> None:
            handler(action)
            if action.stop > self._frontier:
                self._bar.update(action.stop - self._frontier)
                self._frontier = action.stop

        return handle

    def _reverse(self, handler: Handler) -> Handler:
        def handle(action: PullBack) -> None:
            handler(action)
            self._bar.update(action.stop - action.start)

        return handle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
