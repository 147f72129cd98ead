"""Which calls of an object are admitted: one at a time, in its own process, until it is closed."""

import os
import threading

from adjoint.errors import CallError
from adjoint.parallel import Communicator

__all__ = ["Calls"]


class Calls:
    """Admits the public calls of one object, which is made, used and closed on all ranks together.

    Calls that overlap are refused, from whatever threads; one after the other they are right. After
    a fork everything belongs to the parent, so a child's calls are refused.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._is_closed = False

    @property
    def is_own(self) -> bool:
        """Whether the object was made in this process."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Refuse every later call."""
        self._is_closed = True

    def require_usable(self) -> None:
        """Raise `CallError` if the object is closed, or belongs to the process that forked."""
        self._require_own()
        if self._is_closed:
            raise CallError("this functional is closed: make another one")

    def one_at_a_time(self, comm: Communicator) -> threading.Lock:
        """Return the context of one call, to be entered at once.

        It is a lock itself: whatever else is entered or left, a signal may come in the midst of it.
        Of two calls that come at the same instant one may wait for the other. Ranks of `comm` end
        if only some of them refuse a call that overlaps, since the others wait.

        Raises
        ------
        CallError
            Another call is under way, or the object belongs to the process that forked.
        """
        self._require_own()
        if self._lock.locked():
            with comm.failing():
                raise CallError(
                    "another call of this functional is under way, in this thread or another: make "
                    "one call after the other, or one functional a thread"
                )
        return self._lock

    def _require_own(self) -> None:
        if not self.is_own:
            raise CallError(
                f"this functional belongs to process {self._process}, which was forked: make "
                "another one in the child"
            )
