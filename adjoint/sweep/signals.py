"""Signals that ask a run to end: SIGUSR1, and SIGTERM where the launcher passes it on.

A batch system sends such a signal some time before it kills a job. A sweep with a file that is kept
then saves what a resumed run needs, on all ranks together, and ends with `RunInterruptedError`. At
all other times the signal does what it does without this package.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["SignalWatch"]

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


class SignalWatch:
    """Sets `requested` when such a signal arrives while the watch is entered.

    It is entered in two steps, ``with watch.under_way, watch:``.

    A signal that arrived and was not `honoured` is sent again when the watch is left: none is
    forgotten, and by default it ends the process. So does a second one, and one to a child that was
    forked meanwhile.

    A signal for which the program has its own handler is left to that handler. Outside the main
    thread no signal is watched, because Python allows handlers there only.
    """

    def __init__(self) -> None:
        self.under_way = threading.Lock()
        """Held as long as the watch is entered. If Ctrl-C comes where the watch is left, handlers
        may stay; then this is not held, and they do what would be done without them."""
        self._received: int | None = None
        self._is_honoured = False
        self._process = os.getpid()

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
                if _is_default(signal.getsignal(number)):
                    signal.signal(number, self._request)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore_handlers()
        if self._received is not None and not self._is_honoured:
            os.kill(os.getpid(), self._received)

    def _request(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._restore_handlers()  # a second signal ends the process
        if os.getpid() != self._process or not self.under_way.locked():
            os.kill(os.getpid(), number)
        self._received = number

    def _restore_handlers(self) -> None:
        for number in SIGNALS:
            if signal.getsignal(number) == self._request:
                signal.signal(number, signal.SIG_DFL)


def _is_default(handler: Any) -> bool:
    """Return whether a handler is the default action, or that of a watch that is over."""
    watch = getattr(handler, "__self__", None)
    is_over = isinstance(watch, SignalWatch) and not watch.under_way.locked()
    return is_over or handler == signal.SIG_DFL
