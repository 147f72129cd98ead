"""One transfer between a block and a row of the file, as those see it who wait for it."""

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = ["Statistics", "Transfer"]


@dataclass(slots=True)
class Statistics:
    """What the transfers of one engine amounted to, on this rank."""

    bytes_written: int = 0
    """State bytes of the writes that are done, and did not fail."""
    bytes_read: int = 0
    """State bytes of the reads that are done, and did not fail."""
    wait_seconds: float = 0.0
    """Time in which a caller stood still, waiting for a transfer."""
    post_seconds: float = 0.0
    """Time spent in `Engine.write` and `Engine.read`."""
    writes_posted: int = 0
    """Those that are not done yet are the backlog."""
    writes_done: int = 0
    """Writes that are over, well or not."""
    reads_done: int = 0
    """Reads that are over, well or not."""
    write_seconds: float = 0.0
    """Time in which writes were at work, up to now; see `adjoint.storage.engines.meter`."""
    read_seconds: float = 0.0
    """Time in which reads were at work, up to now."""
    finished_write_seconds: float = 0.0
    """What `write_seconds` was when a write was over last: the one under way is not in it."""
    finished_read_seconds: float = 0.0
    """What `read_seconds` was when a read was over last."""

    @property
    def transfer_seconds(self) -> float:
        """Time in which at least one transfer was at work."""
        return self.write_seconds + self.read_seconds


class Transfer(ABC):
    """A write or a read, from when it is posted until it is over, well or not.

    The block belongs to the transfer until then: nobody may write to it, nor, if it is a read,
    look at it. `wait` is how an error reaches the caller; one that nobody waited for is raised
    when the engine closes. To be used by the thread that posted it.
    """

    def __init__(self, what: str, row: int, step: int, statistics: Statistics) -> None:
        self.what = what
        """"write" or "read"."""
        self.row = row
        self.step = step
        self.began = time.perf_counter()
        """When it was posted, on the clock of `time.perf_counter`."""
        self.ended = math.nan
        """When it was over; nan until then."""
        self.error: Exception | None = None
        """What went wrong, once it is over."""
        self.reported = False
        """Whether `wait` has been called, so that the caller knows of the error."""
        self._statistics = statistics

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether it is over, well or not. Never blocks."""

    @abstractmethod
    def _finish(self) -> None:
        """Block until it is over. Raises nothing."""

    @property
    def seconds(self) -> float:
        """Time from posting to the end; nan until it is over."""
        return self.ended - self.began

    def settle(self) -> None:
        """Block until it is over, leaving the error, if any, to `wait`."""
        if not self.done:
            began = time.perf_counter()
            self._finish()
            self._statistics.wait_seconds += time.perf_counter() - began

    def wait(self) -> None:
        """Block until it is over.

        Raises
        ------
        TransferError
            The operating system refused it, or what was read is not what was written.
        NonFiniteError
            The state to be written has an infinite value or one that is not a number.
        """
        self.settle()
        self.reported = True
        if self.error is not None:
            raise self.error
