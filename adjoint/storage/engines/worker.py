"""A thread that carries out calls in order, and that no process waits for when it ends.

`concurrent.futures` joins its threads at exit: one that never returns from the kernel would keep
the process alive for ever. And the lock of its futures stays taken for ever if a handler of a
signal raises between the wrong two instructions of the thread that waits.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from weakref import finalize

__all__ = ["Task", "Worker"]


class Task:
    """A call that a `Worker` carries out, and what becomes of it."""

    def __init__(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.done = False
        """Whether the call has ended."""
        self._call: tuple[Callable[..., Any], tuple[Any, ...]] | None = (call, arguments)
        self._value: Any = None
        self._error: BaseException | None = None
        self._running = threading.Lock()
        self._running.acquire()

    def run(self) -> None:
        """Carry it out; raises nothing."""
        assert self._call is not None
        call, arguments = self._call
        try:
            self._value = call(*arguments)
        except BaseException as error:  # whoever asks for the result gets it
            self._error = error
        self._call = None  # an idle thread keeps no memory alive
        self.done = True
        self._running.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, but at most for `seconds`; return whether it has."""
        if not self.done and self._running.acquire(timeout=max(0.0, seconds)):
            self._running.release()
        return self.done

    def result(self) -> Any:
        """Wait until it has ended; return or raise what the call has."""
        self.wait(threading.TIMEOUT_MAX)
        if self._error is not None:
            raise self._error
        return self._value


class Worker:
    """Carries out calls one after the other, in a thread of the name given."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=_carry_out, args=(self._tasks,), name=name, daemon=True
        )
        # Garbage collection of a worker that was not closed ends the thread.
        finalize(self, self._tasks.put, None).atexit = False
        self._thread.start()

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Task:
        """Have a call carried out after those before it."""
        task = Task(call, arguments)
        self._tasks.put(task)
        return task

    def close(self, *, wait: bool) -> None:
        """Let the thread end after what was submitted; `wait` until it has. Idempotent."""
        self._tasks.put(None)
        if wait:
            self._thread.join()


def _carry_out(tasks: "SimpleQueue[Task | None]") -> None:
    while (task := tasks.get()) is not None:
        task.run()
        del task
