"""The dynamic programme of H-Revolve: for every length, whether and where to keep a state.

Herrmann and Pallez (2020, doi:10.1145/3378672), after Aupy, Herrmann, Hovland and Robert (2016,
doi:10.1137/15M1019222). Tiers are numbered from the fastest, memory, which is tier 0 and costs
nothing. A state in tier `k` costs ``w_k`` to write and ``r_k`` to read. With `m` places left in
tier `k`, and all the places there are in the tiers above it, let

- ``H_k(m, l)`` be the least cost to reverse `l` leaves whose first state is live and kept nowhere,
- ``P_k(m, l)`` the same where that state is live and in tier `k`, on one of the `m` places.

Without a slower tier it is Revolve, ``H_0(l) = t(l, s)``, and with ``c`` the places of a tier::

    P_k(m, l) = min( H_{k-1}(c, l),  min_j  j + H_k(m-1, l-j) + r_k + P_k(m, j) )
    H_k(m, l) = min( H_{k-1}(c, l),  w_k + P_k(m, l) )

that is: either the state is not wanted in tier `k` any more, and the tiers above do the rest; or
`j` leaves are advanced, what is right of them is reversed first, and the state is read again. A
tier without a limit has ``m - 1 = m``: one row is all there is. So has a tier with places enough
for what it would keep if there were no limit.

Costs are in units of advancing one leaf. What it takes to record and pull back a leaf is paid
exactly once a leaf, whatever the schedule: no decision depends on it, and it is nowhere in these
formulas. (A programme that has it must not mistake it for the cost of advancing.)

A table holds lengths on a grid of `unit` leaves, so that it can be coarse where runs are long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.schedules.revolve import minimal_advances

__all__ = ["MOVED", "Level", "Place", "Tables"]

MOVED = 2**-20
"""What a transfer counts for beyond its cost: it decides between plans that cost the same, for the
one that moves fewer states."""


class Place(NamedTuple):
    """A tier below memory."""

    tier: int
    """Its number, from 1 on."""
    capacity: int | None
    """The most states in it at once, at least 1; None is no limit."""
    write: float
    read: float


@dataclass(frozen=True, slots=True)
class Level:
    """What to do with one tier, for each number of places left (row) and length (column)."""

    place: Place
    endless: bool
    """There is one row, for any number of places."""
    truncated: bool
    """There are fewer rows than places that would be of use."""
    splits: NDArray[np.int32]
    """How far to advance from a state that is in the tier; 0: it is not wanted there any more."""
    stores: NDArray[np.bool_]
    """Whether to write a live state to the tier."""
    whole: NDArray[np.float64]
    """``H``; row 0 of a tier with a limit is what the tiers above it can do."""
    kept: NDArray[np.float64]
    """``P``"""
    peaks: NDArray[np.int64]
    """The most places that ``H`` takes."""
    kept_peaks: NDArray[np.int64]
    """The most places that ``P`` takes."""

    @property
    def full(self) -> int:
        """The row for as many places as there are."""
        return len(self.whole) - 1

    def further(self, row: int) -> int:
        """Return the row for one place less."""
        return row if self.endless else row - 1


@dataclass(frozen=True, slots=True)
class Tables:
    """The programme solved for the lengths ``unit, 2 unit, …, size unit``."""

    num_slots: int
    unit: int
    levels: tuple[Level, ...]
    """One for each tier below memory, the fastest first."""

    @classmethod
    def solve(
        cls, num_slots: int, places: Sequence[Place], unit: int, size: int, most_rows: int
    ) -> "Tables":
        """Solve for up to `size` units; no tier with a limit gets more than `most_rows` places.

        Takes some 20 ms for 2,000 units, and 5 ms more for each row; memory for a few numbers each.
        """
        levels: list[Level] = []
        lengths = range(unit, (size + 1) * unit, unit)
        above = np.array([0, *(minimal_advances(length, num_slots) for length in lengths)], float)
        for place in places:
            level = _solve_level(place, above, unit, most_rows)
            levels.append(level)
            above = level.whole[-1]
        return cls(num_slots, unit, tuple(levels))

    def home(self, level: int, row: int, length: int) -> tuple[int, int]:
        """Return where a live state is to be written, as level and row; level 0 is memory.

        `level` counts from 1, the fastest tier below memory; with it come `row` places.
        """
        while level and not self.levels[level - 1].stores[row, length]:
            level, row = self.above(level)
        return level, row

    def above(self, level: int) -> tuple[int, int]:
        """Return the next faster level, and its row for all its places."""
        return level - 1, self.levels[level - 2].full if level > 1 else 0


def _solve_level(place: Place, above: NDArray[np.float64], unit: int, most_rows: int) -> Level:
    whole, kept, splits = _solve_rows(place, above, None, unit)
    peaks, kept_peaks = _peaks(whole[0] < above, splits[0])
    endless = place.capacity is None or bool(peaks.max() <= place.capacity)
    if place.capacity is not None and not endless:
        whole, kept, splits = _solve_rows(place, above, min(place.capacity, most_rows), unit)
        peaks = kept_peaks = np.arange(len(whole))[:, np.newaxis]
    return Level(
        place,
        endless=endless,
        truncated=not endless and place.capacity != len(whole) - 1,
        splits=splits,
        stores=whole < above,
        whole=whole,
        kept=kept,
        peaks=np.broadcast_to(peaks, whole.shape),
        kept_peaks=np.broadcast_to(kept_peaks, whole.shape),
    )


def _solve_rows(
    place: Place, above: NDArray[np.float64], rows: int | None, unit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Return H, P and the splits for no place and up to `rows`, or the one row if it is None.

    A length takes shorter ones alone, of the same row and of that for one place less: so all rows
    are done at once.
    """
    shape = (1 if rows is None else rows + 1, len(above))
    whole, kept = np.tile(above, (shape[0], 1)), np.tile(above, (shape[0], 1))
    splits = np.zeros(shape, np.int32)
    if rows is None:
        first, further = 0, whole
    else:
        first, further = 1, whole[:-1]
        kept[0] = np.inf
    advance = np.arange(len(above)) * float(unit) + place.read + MOVED
    again = advance + kept[first:]
    each = np.arange(len(again))
    for length in range(2, len(above)):
        tried = further[:, length - 1 : 0 : -1] + again[:, 1:length]
        best = tried.argmin(axis=1)
        least = tried[each, best]
        splits[first:, length] = (best + 1) * (least < above[length])
        least = np.minimum(least, above[length])
        kept[first:, length] = least
        again[:, length] = advance[length] + least
        whole[first:, length] = np.minimum(above[length], place.write + MOVED + least)
    return whole, kept, splits


def _peaks(
    stores: NDArray[np.bool_], splits: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places that each length takes without a limit, its start live or in the tier."""
    peaks, kept_peaks = [0, 0], [1, 1]
    for split, store in zip(splits.tolist()[2:], stores.tolist()[2:], strict=True):
        right = len(peaks) - split
        kept_peaks.append(max(1 + peaks[right], kept_peaks[split]) if split else 1)
        peaks.append(kept_peaks[-1] if store else 0)
    return np.array(peaks, np.int64), np.array(kept_peaks, np.int64)
