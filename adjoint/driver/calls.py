"""Which calls of an object are admitted: one at a time, in its own process, until it is closed."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

from adjoint.errors import CallError
from adjoint.parallel import Communicator

__all__ = ["Calls"]


class Calls:
    """Admits the public calls of one object, which is made, used and closed on all ranks together.

    Calls that overlap are refused, from whatever threads; one after the other they are right. After
    a fork everything belongs to the parent, so a child's calls are refused.

    Parameters
    ----------
    comm
        The ranks. They end if only some of them refuse a call that overlaps, since the others wait.
    """

    def __init__(self, comm: Communicator) -> None:
        self._comm = comm
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._is_closed = False

    @property
    def can_close(self) -> bool:
        """Whether there is something to close in this process."""
        return not self._is_closed and self._process == os.getpid()

    def close(self) -> None:
        """Refuse every later call."""
        self._is_closed = True

    def require_usable(self) -> None:
        """Raise `CallError` if the object is closed, or belongs to the process that forked."""
        if self._process != os.getpid():
            raise CallError(
                f"this functional belongs to process {self._process}, which was forked: make "
                "another one in the child"
            )
        if self._is_closed:
            raise CallError("this functional is closed: make another one")

    @contextmanager
    def one_at_a_time(self) -> Generator[None, None, None]:
        """Return the context of one public call.

        Raises
        ------
        CallError
            The object is closed, it was inherited by a fork, or another call is under way.
        """
        self.require_usable()
        if not self._lock.acquire(blocking=False):
            with self._comm.failing():
                raise CallError(
                    "another call of this functional is under way, in this thread or another: make "
                    "one call after the other, or one functional a thread"
                )
        try:
            yield
        finally:
            self._lock.release()
