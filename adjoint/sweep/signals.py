"""Signals that ask a run to end: SIGUSR1, and SIGTERM where the launcher passes it on.

A batch system sends such a signal some time before it kills a job. A sweep with a file that is kept
then saves what a resumed run needs, on all ranks together, and ends with `RunInterruptedError`.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["SignalWatch"]

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


class SignalWatch:
    """Sets `requested` when such a signal arrives while the watch is entered; does nothing else.

    A signal for which the program has its own handler is left to that handler. Outside the main
    thread no signal is watched, because Python allows handlers there only.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) == signal.SIG_DFL:
                    self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore_handlers()

    def _request(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
        self._restore_handlers()  # a second signal ends the process

    def _restore_handlers(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
