"""What ranks tell each other while they compute, without waiting for one another.

Every few steps all ranks begin a nonblocking reduction of a few numbers, a `RankStatus`; its result
takes effect when the next one is begun, at the same action on every rank. So no decision ever
depends on when this rank's own transfer was done, and a rank waits for another only if that one is
a whole beat behind.

How many steps lie between two beats is agreed in the same way: about a quarter of a second of
computing, and never more writes than `MOST_WRITES`.
"""

from dataclasses import astuple, dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from adjoint.parallel import Communicator, Reduction

__all__ = ["RankStatus", "StatusExchange"]

BEAT_SECONDS = 0.25
"""The time between two beats that is aimed at."""

MOST_WRITES = 64
"""Writes posted between two beats, at the most."""

MOST_GROWTH = 4
"""How many times longer one beat may be than the one before it."""


@dataclass(slots=True)
class RankStatus:
    """What a rank says in one beat. Of all ranks' words the largest of each number counts."""

    elapsed: float = 0.0
    """Seconds since the sweep began."""
    step_seconds: float = 0.0
    """What a step took lately, waiting apart; 0 where there was none."""
    write_seconds: float = 0.0
    """What a write took lately; 0 where there was none."""
    busy: float = 0.0
    """The share of the time in which steps were taken that a write was at work in."""
    backlog: float = 0.0
    """Writes that are posted and not done."""
    lost_first: float = -inf
    """Minus the ordinal of the first write found to have failed, of those not told yet."""
    lost_last: float = -inf
    """The ordinal of the last of them."""
    is_full: float = 0.0
    """1 if a write failed because there is no space left."""
    alarm: float = 0.0
    """1 if an error is to be raised."""
    interrupted: float = 0.0
    """1 if the process was told to save what there is, and to end."""

    def packed(self) -> NDArray[np.float64]:
        """Return the numbers as an array."""
        return np.array(astuple(self), np.float64)


class StatusExchange:
    """The beats of one sweep. All ranks call the same methods at the same actions.

    Parameters
    ----------
    comm
        Whose ranks agree.
    grid
        Beats lie at multiples of so many steps.
    """

    def __init__(self, comm: Communicator, grid: int) -> None:
        self._comm = comm
        self._grid = grid
        self._spacing = grid
        self._done = 0
        self._next = grid
        self._writes = 0
        self._elapsed = 0.0
        self._length = 0
        """Steps from the beat before the last to the last."""
        self._last = 0
        self._pending: Reduction | None = None

    def steps_left(self) -> int:
        """Return in how many steps the next beat is due; a multiple of the grid, or less than 1."""
        return self._next - self._done

    def note_steps(self, steps: int) -> None:
        """Take note of steps that were taken, in either direction."""
        self._done += steps

    def note_write(self) -> None:
        """Take note of a write that was posted."""
        self._writes += 1

    @property
    def is_due(self) -> bool:
        """Whether the next beat is due."""
        return self._done >= self._next or self._writes >= MOST_WRITES

    def progress(self) -> None:
        """Let the reduction under way go on."""
        if self._pending is not None:
            self._pending.progress()

    def beat(self, word: RankStatus) -> RankStatus:
        """Say a word; return what all ranks said in the beat before. The first beat returns none.

        Blocks only for a rank that has not come to the beat before.
        """
        heard = self.finish()
        self._pending = self._comm.begin_largest(word.packed())
        self._adapt(heard)
        self._writes = 0
        return heard

    def finish(self) -> RankStatus:
        """Wait for the reduction under way, if there is one; return what it came to."""
        pending, self._pending = self._pending, None
        return RankStatus() if pending is None else RankStatus(*map(float, pending.result()))

    def _adapt(self, heard: RankStatus) -> None:
        steps, taken = self._length, heard.elapsed - self._elapsed
        if taken > 0 and steps:
            wanted = steps * BEAT_SECONDS / taken
            least, most = self._spacing / MOST_GROWTH, self._spacing * MOST_GROWTH
            wanted = min(most, max(least, wanted))
            self._spacing = max(1, round(wanted / self._grid)) * self._grid
        self._elapsed = max(self._elapsed, heard.elapsed)
        self._length = self._done - self._last
        self._last = self._done
        self._next = (self._done // self._grid) * self._grid + self._spacing
