"""Signals that ask a run to end: SIGUSR1, and SIGTERM where the launcher passes it on.

A batch system sends such a signal some time before it kills a job. A sweep with a file that is kept
then saves what a resumed run needs, on all ranks together, and ends with `RunInterruptedError`. At
all other times the signal does what it does without this package.
"""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["SignalWatch"]

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


class SignalWatch:
    """Sets `requested` when such a signal arrives while the watch is entered.

    A signal that arrived and was not `honoured` is sent again when the watch is left: none is
    forgotten, and by default it ends the process. So does a second one, and one to a child that was
    forked meanwhile.

    A signal for which the program has its own handler is left to that handler. Outside the main
    thread no signal is watched, because Python allows handlers there only.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._is_honoured = False
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has asked the process to end."""
        return self._received is not None

    def honoured(self) -> None:
        """Leave it to the caller to end the run: no signal is sent again."""
        self._is_honoured = True

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
        if self._received is not None and not self._is_honoured:
            os.kill(os.getpid(), self._received)

    def _request(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._restore_handlers()  # a second signal ends the process
        if os.getpid() != self._process:
            os.kill(os.getpid(), number)
        self._received = number

    def _restore_handlers(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
