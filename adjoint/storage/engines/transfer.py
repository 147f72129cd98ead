"""One transfer between a block and a row of the file, and the statistics of all of an engine's.

*Busy time.* Each moment is divided evenly among the transfers at work in it. So `write_seconds` and
`read_seconds` add up to the time in which any transfer was at work. Over several writes, the mean
service time of a write, which is the rate that a stream of writes alone could sustain, is
`finished_write_seconds` divided by `writes_done`.
"""

import math
import operator
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import Literal

__all__ = ["Direction", "Meter", "Statistics", "Transfer"]

Direction = Literal["write", "read"]

POLL_SECONDS = 0.25
"""Longest time between two polls of a wait."""


@dataclass(slots=True)
class Statistics:
    """Sums over the transfers of one engine on this rank."""

    bytes_written: int = 0
    """State bytes of the writes that succeeded."""
    bytes_read: int = 0
    """State bytes of the reads that succeeded."""
    wait_seconds: float = 0.0
    """Time that callers were blocked waiting for a transfer."""
    post_seconds: float = 0.0
    """Time spent in `Engine.write` and `Engine.read`."""
    writes_posted: int = 0
    """Writes posted; those that have not ended are the backlog."""
    writes_done: int = 0
    """Writes that have ended, whether they succeeded or failed."""
    reads_done: int = 0
    """Reads that have ended, whether they succeeded or failed."""
    write_seconds: float = 0.0
    """Busy time of writes up to now, see the module."""
    read_seconds: float = 0.0
    """Busy time of reads up to now."""
    finished_write_seconds: float = 0.0
    """`write_seconds` when a write last ended: without the one under way."""
    finished_read_seconds: float = 0.0
    """`read_seconds` when a read last ended."""

    @property
    def transfer_seconds(self) -> float:
        """Time in which at least one transfer was at work."""
        return self.write_seconds + self.read_seconds

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(*map(operator.add, astuple(self), astuple(other)))


class Transfer(ABC):
    """A write or a read, from when it is posted until it has ended, whether it succeeds or fails.

    Until then the block belongs to the transfer: nobody may modify it or, if it is a read, look at
    it. `wait` raises the transfer's error; the engine's `close` raises one that nobody waited for.
    A transfer that is overdue is not waited for any longer, and never releases its block. To be
    used by the thread that posted it.
    """

    def __init__(
        self, what: Direction, row: int, step: int, nbytes: int, statistics: Statistics
    ) -> None:
        self.what: Direction = what
        self.row = row
        self.step = step
        """The step of the state; of another row, see `adjoint.storage.row_keys`."""
        self.nbytes = nbytes
        """Bytes of the state."""
        self.began = time.perf_counter()
        """When it was posted, on the clock of `time.perf_counter`."""
        self.ended = math.nan
        """When it ended; nan until then."""
        self.error: Exception | None = None
        """Why it failed, once it has ended."""
        self.reported = False
        """Whether the caller knows of the error: then `Engine.close` does not raise it."""
        self.is_overdue = False
        """Whether it was given up while it was under way (`adjoint.storage.engines.deadline`)."""
        self.on_poll: Callable[[], None] | None = None
        """Called at every poll of a wait; may give the transfer up."""
        self._statistics = statistics

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether it has ended. Never blocks."""

    @abstractmethod
    def _pause(self, seconds: float) -> None:
        """Block until it has ended, but at most for `seconds`. Raises nothing."""

    @property
    def seconds(self) -> float:
        """Time from posting to the end, or until it was given up; nan before."""
        return self.ended - self.began

    def settle(self) -> None:
        """Block until it has ended or is overdue, leaving its error, if any, to `wait`."""
        if self.done or self.is_overdue:
            return
        began = time.perf_counter()
        while not (self.done or self.is_overdue):
            self._pause(POLL_SECONDS)
            if self.on_poll is not None:
                self.on_poll()
        self._statistics.wait_seconds += time.perf_counter() - began

    def wait(self) -> None:
        """Block until it has ended or is overdue.

        Raises
        ------
        TransferError
            The operating system refused it, the data read are not those that were written, or it is
            overdue.
        NonFiniteError
            The state to be written contains an infinity or a NaN.
        """
        self.settle()
        self.reported = True
        if self.error is not None:
            raise self.error


class Meter:
    """Keeps the statistics of one engine, up to date also while transfers are under way.

    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self.figures = Statistics()
        """As of the last call; `read` brings them up to date."""
        self._at_work: dict[Direction, int] = {"write": 0, "read": 0}
        self._counted_until = time.perf_counter()
        self._lock = threading.Lock()

    def read(self) -> Statistics:
        """Return a copy of the statistics, up to now."""
        with self._lock:
            self._divide_time(time.perf_counter())
            return replace(self.figures)

    def posted(self, what: Direction, seconds: float) -> None:
        """Count a transfer whose posting took the caller `seconds`."""
        with self._lock:
            self.figures.post_seconds += seconds
            self.figures.writes_posted += what == "write"

    def begin(self, what: Direction) -> None:
        """Count a transfer as at work from now on."""
        with self._lock:
            self._divide_time(time.perf_counter())
            self._at_work[what] += 1

    def end(self, what: Direction, at: float) -> None:
        """Count a transfer as at work up to `at`, on the clock of `perf_counter`."""
        with self._lock:
            self._divide_time(at)
            self._at_work[what] -= 1

    def over(self, what: Direction, nbytes: int) -> None:
        """Count a transfer as ended, after moving `nbytes` of state: 0 if it failed."""
        with self._lock:
            if what == "write":
                self.figures.writes_done += 1
                self.figures.finished_write_seconds = self.figures.write_seconds
                self.figures.bytes_written += nbytes
            else:
                self.figures.reads_done += 1
                self.figures.finished_read_seconds = self.figures.read_seconds
                self.figures.bytes_read += nbytes

    def give_up(self) -> None:
        """Leave out what is under way, and will not end."""
        with self._lock:
            self._at_work = {"write": 0, "read": 0}
            self.figures.writes_posted = self.figures.writes_done
            self.figures.write_seconds = self.figures.finished_write_seconds
            self.figures.read_seconds = self.figures.finished_read_seconds

    def _divide_time(self, until: float) -> None:
        seconds = until - self._counted_until
        if seconds <= 0:
            return  # an end reported late: time already divided stays as it is
        self._counted_until = until
        writes, reads = self._at_work["write"], self._at_work["read"]
        if writes + reads:
            self.figures.write_seconds += seconds * writes / (writes + reads)
            self.figures.read_seconds += seconds * reads / (writes + reads)
