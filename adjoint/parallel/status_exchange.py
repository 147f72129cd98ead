"""A few numbers that all ranks combine while they compute, without waiting for one another.

Every few steps all ranks start a nonblocking reduction of a `RankStatus`. Its result is used when
the next one is started, at the same action on every rank. So no decision depends on when a rank's
own transfers finish, and a rank waits only for one that is a whole exchange behind.

The number of steps between two exchanges is agreed on in the same way.
"""

from dataclasses import astuple, dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from adjoint.parallel.communication import Communicator, Reduction

__all__ = ["RankStatus", "StatusExchange"]

EXCHANGE_SECONDS = 0.25
"""Target time between two exchanges: long beside a reduction, short beside a run."""

MAX_WRITES = 64
"""Most writes posted between two exchanges, since failed ones are reported as one range."""

MAX_GROWTH = 4
"""Largest factor by which the number of steps between exchanges changes at once."""


@dataclass(slots=True)
class RankStatus:
    """What one rank reports; combined, each number is the largest of all ranks'."""

    elapsed: float = 0.0
    """Seconds since the run began."""
    step_seconds: float = 0.0
    """Recent mean time of a step, waiting excluded; 0 before any was measured."""
    write_seconds: float = 0.0
    """Recent mean time of a write; 0 before any was measured."""
    busy: float = 0.0
    """Share of the computing time during which a write was at work."""
    backlog: float = 0.0
    """Writes that are posted and not done."""
    lost_first: float = -inf
    """Minus the ordinal of the first write that has failed since the last status."""
    lost_last: float = -inf
    """Ordinal of the last write that has failed since the last status."""
    stalled: float = 0.0
    """Ordinal of the engine if it accepts no more transfers; else 0."""
    is_full: float = 0.0
    """1 if a write failed because there is no space left."""
    has_error: float = 0.0
    """1 if the rank has an error to raise."""
    is_interrupted: float = 0.0
    """1 if a signal has asked the process to end."""

    def packed(self) -> NDArray[np.float64]:
        """Return the numbers as an array."""
        return np.array(astuple(self), np.float64)

    @property
    def lost_writes(self) -> range:
        """Ordinals of the writes among which are all that have failed."""
        if self.lost_last < 0:
            return range(0)
        return range(int(-self.lost_first), int(self.lost_last) + 1)


class StatusExchange:
    """The exchanges of one sweep. All ranks call the same methods at the same actions.

    Parameters
    ----------
    comm
        The ranks.
    grid
        Exchanges are due at multiples of this number of steps, so that they cut no leaf.
    """

    def __init__(self, comm: Communicator, grid: int) -> None:
        self.due = grid
        """The number of steps taken at which the next exchange is due, of whatever kind."""
        self._comm = comm
        self._grid = grid
        self._spacing = grid
        self._writes = 0
        self._pending: Reduction | None = None
        self._last_steps = 0
        self._last_elapsed = 0.0
        self._length = 0
        """Steps between the two exchanges whose times are received next."""

    def count_write(self) -> None:
        """Count a write that was posted; after `MAX_WRITES` of them an exchange is due at once."""
        self._writes += 1
        if self._writes >= MAX_WRITES:
            self.due = 0

    def progress(self) -> None:
        """Let MPI work on the reduction under way."""
        if self._pending is not None:
            self._pending.progress()

    def exchange(self, sent: RankStatus, steps: int) -> RankStatus:
        """Start combining `sent`; return the combined status of the exchange before.

        The first call returns an empty one. `steps` is the number of steps taken so far, repeated
        ones included. Blocks only until all ranks have reached the exchange before.
        """
        received = self.finish()
        self._pending = self._comm.begin_largest(sent.packed())
        self._set_due(received, steps)
        self._writes = 0
        return received

    def finish(self) -> RankStatus:
        """Wait for the reduction under way, if there is one; return the combined status."""
        pending, self._pending = self._pending, None
        return RankStatus() if pending is None else RankStatus(*map(float, pending.result()))

    def _set_due(self, received: RankStatus, steps: int) -> None:
        """Set when the next exchange is due, by the time that the steps before the last took."""
        seconds = received.elapsed - self._last_elapsed
        if seconds > 0 and self._length:
            wanted = self._length * EXCHANGE_SECONDS / seconds
            least, most = self._spacing / MAX_GROWTH, self._spacing * MAX_GROWTH
            wanted = min(most, max(least, wanted))
            self._spacing = max(1, round(wanted / self._grid)) * self._grid
        self._last_elapsed = max(self._last_elapsed, received.elapsed)
        self._length = steps - self._last_steps
        self._last_steps = steps
        self.due = (steps // self._grid) * self._grid + self._spacing
