"""Deadlines: a transfer that does not end is given up, so that no wait is without an end.

An engine's transfers are carried out in the order in which they were posted, or nearly so. So the
clock runs for the one posted first of those under way, from when those before it had ended. It
counts only time in which this process was running: two polls are counted as at most a second apart,
whether the process was stopped, the machine asleep, or a step long.

A transfer given up is *overdue*. It may still be under way: a request that MPI never reports as
complete, a call that the kernel never returns from. Its block and its row are not used again in
this process.
"""

import logging
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from reprlib import repr as short_repr

from adjoint.errors import ArgumentError
from adjoint.storage.blocks import Block
from adjoint.storage.engines.transfer import Transfer
from adjoint.storage.row_keys import described

__all__ = ["VARIABLE", "Watch", "end_soon", "keep_for_ever", "parse_deadline", "rows_overdue"]

VARIABLE = "ADJOINT_TRANSFER_DEADLINE"
"""Environment variable: the deadline in seconds, where the caller of a run gives none."""

MIN_SECONDS = 60.0
"""The least deadline, if none is given: a busy file server may be silent for half a minute."""

MAX_SLOWER = 50
"""A transfer that takes this many times as long as the slowest one before is overdue."""

MIN_BYTES_PER_SECOND = 10e6
"""Nor is one overdue that would be in time at this speed: no other has been seen at first."""

WARNING_SHARE = 0.1
"""The part of the deadline after which a line is logged."""

MAX_GAP_SECONDS = 1.0
"""Two polls count as at most this far apart."""

EXIT_SECONDS = 60
"""How long a process with overdue requests may take to end, once all ranks have begun to."""

LOG = logging.getLogger("adjoint")

_kept: list[object] = []
"""What the kernel or MPI may still use: never released, because it is overdue."""

_rows: dict[tuple[int, int], set[int]] = {}
"""The rows of overdue transfers of this process, by device and inode of the file."""


def parse_deadline(given: float | None) -> float | None:
    """Return the deadline that was given, here or by `VARIABLE`; None for the default rule.

    Raises
    ------
    ArgumentError
        It is not a positive number.
    """
    source, value = "transfer_deadline", given
    if given is None:
        source, value = VARIABLE, os.environ.get(VARIABLE) or None
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not seconds > 0:
        raise ArgumentError(f"{source}={short_repr(value)}: give a positive number of seconds")
    return seconds


def rows_overdue(file: str | int) -> set[int]:
    """Return the rows of a file that overdue transfers of this process may still write.

    `file` is its path or a descriptor.
    """
    if not _rows:
        return set()
    found = os.stat(file)
    return set(_rows.get((found.st_dev, found.st_ino), ()))


def keep_for_ever(*things: object) -> None:
    """Hold references to what must not be released while this process lives."""
    _kept.extend(things)


def end_soon() -> None:
    """End this process in a minute, unless it has ended by then. For use when it exits.

    By a timer of the kernel, because nothing of Python is left when MPI is finalized.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # absent, full, closed
            stream.flush()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(EXIT_SECONDS)


class Watch:
    """The transfers of one engine that are under way, and how long the first has been at work.

    Parameters
    ----------
    nbytes
        What each of them moves.
    rank
        Named in the log.
    on_overdue
        Called with the seconds that have passed when the first is overdue. The engine then takes
        no other.
    """

    def __init__(self, nbytes: int, rank: int, on_overdue: Callable[[float], None]) -> None:
        self.given: float | None = None
        """The deadline that the caller of the run gave."""
        self.transfers: deque[tuple[Transfer, Block]] = deque()
        """Those under way, in the order in which they were posted, and some that have ended."""
        self._rank = rank
        self._on_overdue = on_overdue
        self._slowest = 0.0
        self._least = max(MIN_SECONDS, nbytes / MIN_BYTES_PER_SECOND)
        self._seconds = 0.0
        self._polled = 0.0
        self._has_warned = False

    @property
    def deadline(self) -> float:
        """Seconds after which the first transfer is overdue."""
        return max(self._least, MAX_SLOWER * self._slowest) if self.given is None else self.given

    def add(self, transfer: Transfer, block: Block) -> None:
        """Watch a transfer that was just posted."""
        transfer.on_poll = self.poll
        if not self.transfers:
            self._begin(time.perf_counter())
        self.transfers.append((transfer, block))

    def poll(self) -> None:
        """Count the time since the last poll, and see whether the first transfer is overdue."""
        if not self.transfers:
            return
        now = time.perf_counter()
        self._seconds += min(MAX_GAP_SECONDS, now - self._polled)
        self._polled = now
        first = self.transfers[0][0]
        if first.done:
            self._slowest = max(self._slowest, self._seconds)
            while self.transfers and self.transfers[0][0].done:
                self.transfers.popleft()
            self._begin(now)
        elif self._seconds > self.deadline:
            self._on_overdue(self._seconds)
        elif self._seconds > WARNING_SHARE * self.deadline and not self._has_warned:
            self._has_warned = True
            LOG.warning(
                "the %s of %s on rank %d has taken %.3g s; after %.3g s it is given up",
                first.what,
                described(first.step),
                self._rank,
                self._seconds,
                self.deadline,
            )

    def give_up(self, file: tuple[int, int]) -> list[Transfer]:
        """Set aside the blocks and the rows of all transfers under way, and return those.

        `file` is the device and the inode of the file that they are to or from.
        """
        overdue = [(transfer, block) for transfer, block in self.transfers if not transfer.done]
        self.transfers.clear()
        for transfer, block in overdue:
            transfer.ended = time.perf_counter()
            block.is_lost = True
            keep_for_ever(transfer, block)
            _rows.setdefault(file, set()).add(transfer.row)
        return [transfer for transfer, _ in overdue]

    def _begin(self, now: float) -> None:
        self._seconds, self._polled, self._has_warned = 0.0, now, False
