"""The last segments of a run, rehearsed, and what they tell of the rest of it."""

from dataclasses import dataclass
from math import gcd

from adjoint.schedules.spilling.rehearsal import Rehearsal
from adjoint.schedules.spilling.spacing import GRID

__all__ = ["BLIND", "Window", "period_of"]

BLIND = 0.2
"""By how much an extrapolation may be off that the end of the run does not bear out."""


@dataclass(frozen=True, slots=True)
class Window:
    """The last leaves of a run, rehearsed, with three leaves at which the time was noted.

    Below the highest nothing changes any more: if so, both stretches between them are as quick.
    """

    leaves: int
    marks: tuple[int, ...]
    rehearsal: Rehearsal

    def extended(self, leaves: int, written: float, read: float) -> float:
        """Return what so many leaves take, if no less than their writes, and their reads, take."""
        rehearsal = self.rehearsal
        forward = max(rehearsal.turned_at * leaves / self.leaves, written)
        reverse = rehearsal.seconds - rehearsal.turned_at
        reverse += (leaves - self.leaves) * self._slope(self.marks[0], self.marks[2])
        return forward + max(reverse, read)

    @property
    def unrest(self) -> float:
        """By which share the two stretches differ."""
        low, middle, high = self.marks
        if not low < middle < high:
            return BLIND
        below, above = self._slope(low, middle), self._slope(middle, high)
        return abs(above - below) / max(above, below)

    def _slope(self, low: int, high: int) -> float:
        """Return the seconds a leaf between two marks."""
        at = self.rehearsal.at
        return (at[low] - at[high]) / (high - low)


def period_of(pitch: int) -> int:
    """Return after how many states in the file the distances between them repeat."""
    return GRID // gcd(pitch, GRID)
