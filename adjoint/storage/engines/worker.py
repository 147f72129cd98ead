"""A thread that carries out calls in order, and that no process waits for when it ends.

`concurrent.futures` joins its threads at exit: one that never returns from the kernel would keep
the process alive for ever.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any
from weakref import finalize

__all__ = ["Worker"]

_Task = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class Worker:
    """Carries out calls one after the other, in a thread of the name given."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=_carry_out, args=(self._tasks,), name=name, daemon=True
        )
        # Garbage collection of a worker that was not closed ends the thread.
        finalize(self, self._tasks.put, None).atexit = False
        self._thread.start()

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a call carried out after those before it; return its result, to be."""
        future: Future[Any] = Future()
        self._tasks.put((future, call, arguments))
        return future

    def close(self, *, wait: bool) -> None:
        """Let the thread end after what was submitted; `wait` until it has."""
        self._tasks.put(None)
        if wait:
            self._thread.join()


def _carry_out(tasks: "SimpleQueue[_Task | None]") -> None:
    while (task := tasks.get()) is not None:
        future, call, arguments = task
        try:
            future.set_result(call(*arguments))
        except BaseException as error:  # whoever asks for the result gets it
            future.set_exception(error)
        del task, future, call, arguments  # an idle thread keeps no memory alive
