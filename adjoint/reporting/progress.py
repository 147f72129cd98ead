"""Progress bars on standard error: over the steps of a sweep, and over bytes being read."""

from types import TracebackType
from typing import Self

from tqdm import tqdm

from adjoint.schedules.actions import Action, Advance, PullBack, Record
from adjoint.sweep.observers import Observer

__all__ = ["Bar", "ProgressBar"]


class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """A tqdm bar without its monitor, a thread that would outlive the bar."""

    monitor_interval = 0


class ProgressBar(Observer):
    """Counts each step twice: when it is first reached, and when it is pulled back.

    A context manager. Without a number of steps the bar has no end.
    """

    def __init__(self, num_steps: int | None) -> None:
        self._frontier = 0
        self._bar = Bar(
            total=None if num_steps is None else 2 * num_steps, unit="step", smoothing=0.05
        )

    def on_action(self, action: Action, began: float, ended: float) -> None:
        del began, ended
        if isinstance(action, PullBack):
            self._bar.update(action.stop - action.start)
        elif isinstance(action, Advance | Record) and action.stop > self._frontier:
            self._bar.update(action.stop - self._frontier)
            self._frontier = action.stop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
