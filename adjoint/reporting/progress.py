"""Progress bars on standard error: over the steps of a sweep, and over bytes being read.

A bar that cannot be written, because a disk is full or a pipe was closed, is dropped in silence.
"""

import sys
from typing import Any, TextIO

from tqdm import tqdm

from adjoint.closing import Closing
from adjoint.schedules.actions import Action, Advance, PullBack, Record
from adjoint.sweep.observers import Observer

__all__ = ["Bar", "ProgressBar"]


class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """A tqdm bar without its monitor, a thread that would outlive the bar; see `tqdm.tqdm`."""

    monitor_interval = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(file=_Unfailing(sys.stderr), **options)


class _Unfailing:
    """A stream that drops all output once a write has failed, or if there is no stream."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError):  # a ValueError if it is closed
                self._stream = None

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ProgressBar(Observer, Closing):
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

    def close(self) -> None:
        self._bar.close()
