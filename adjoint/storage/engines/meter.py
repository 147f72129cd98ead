"""What the transfers of one engine amount to, known at any moment: while they go on, too.

*Busy time.* Each moment is shared out evenly among the transfers at work in it. So `write_seconds`
and `read_seconds` add up to the time in which there was any, and over some while the mean service
time of a write, what a store that writes nothing but states could keep up with, is the seconds that
writes were at work, divided by the writes that were done.
"""

import threading
import time
from dataclasses import replace

from adjoint.storage.engines.transfer import Statistics

__all__ = ["Meter"]


class Meter:
    """Adds up the transfers of one engine. Every method may be called by any thread."""

    def __init__(self) -> None:
        self.figures = Statistics()
        """As they were at the last call; `read` brings them up to date."""
        self._writing = 0
        self._reading = 0
        self._reckoned = time.perf_counter()
        """Up to when busy time has been shared out."""
        self._lock = threading.Lock()

    def read(self) -> Statistics:
        """Return a copy of the figures, up to now."""
        with self._lock:
            self._share_out(time.perf_counter())
            return replace(self.figures)

    def posted(self, what: str, seconds: float) -> None:
        """Note that a transfer was posted, which kept the caller so long."""
        with self._lock:
            self.figures.post_seconds += seconds
            self.figures.writes_posted += what == "write"

    def begin(self, what: str) -> None:
        """Note that a transfer is at work from now on."""
        with self._lock:
            self._share_out(time.perf_counter())
            self._count(what, 1)

    def end(self, what: str, at: float) -> None:
        """Note that a transfer has been at work until then, on the clock of `perf_counter`."""
        with self._lock:
            self._share_out(at)
            self._count(what, -1)

    def over(self, what: str, nbytes: int) -> None:
        """Note that a transfer is over and has moved so many bytes of state: none if it failed."""
        with self._lock:
            if what == "write":
                self.figures.writes_done += 1
                self.figures.finished_write_seconds = self.figures.write_seconds
                self.figures.bytes_written += nbytes
            else:
                self.figures.reads_done += 1
                self.figures.finished_read_seconds = self.figures.read_seconds
                self.figures.bytes_read += nbytes

    def _count(self, what: str, change: int) -> None:
        if what == "write":
            self._writing += change
        else:
            self._reading += change

    def _share_out(self, until: float) -> None:
        # What has been told is not taken back: an end that is learned late may lie before it.
        seconds = until - self._reckoned
        if seconds <= 0:
            return
        self._reckoned = until
        at_work = self._writing + self._reading
        if at_work:
            self.figures.write_seconds += seconds * self._writing / at_work
            self.figures.read_seconds += seconds * self._reading / at_work
