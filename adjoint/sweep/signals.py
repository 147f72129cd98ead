"""Being told to end: by SIGUSR1, or by SIGTERM where the launcher passes that on.

A batch system sends such a signal some time before it kills a job. A sweep with a file that is kept
saves what a resumed run needs, on all ranks together, and ends with `RunInterruptedError`.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["SignalWatch"]

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


class SignalWatch:
    """Notes such a signal while it is entered, and nothing more.

    A signal that the program itself has a handler for is left to that. So is every signal, if this
    is not the main thread: Python allows nothing else.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) == signal.SIG_DFL:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
        self._give_back()  # a second signal means it

    def _give_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
