"""The dynamic programme of H-Revolve: for every length, whether to keep a state in the file.

Herrmann and Pallez (2020, doi:10.1145/3378672), after Aupy, Herrmann, Hovland and Robert (2016,
doi:10.1137/15M1019222). A state costs `w` to write to the file and `r` to read. With `s` slots and
`m` places left in the file, let

- ``H(m, l)`` be the least cost to reverse `l` leaves whose first state is live and kept nowhere,
- ``P(m, l)`` the same if that state is live and in the file, in one of the `m` places.

Revolve reverses `l` leaves in memory by advancing over ``t(l, s)`` leaves, and so::

    P(m, l) = min( t(l, s),  min_j  j + H(m-1, l-j) + r + P(m, j) )
    H(m, l) = min( t(l, s),  w + P(m, l) )

Either the state is not needed in the file any more; or `j` leaves are advanced over, those right of
there are reversed first, and the state is read again. Without a limit ``m - 1 = m``, and a single
row serves all numbers of places. So it does if the optimum without a limit fits into the file.

The unit of costs is advancing over one leaf. Recording and pulling back is paid exactly once for
each leaf by every schedule, so it affects no decision and is left out.

A table holds lengths on a grid of `unit` leaves, so that it can be coarse for long runs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adjoint.schedules.revolve import minimal_advances

__all__ = ["TRANSFER_TIE_BREAK", "FileTable"]

TRANSFER_TIE_BREAK = 2.0**-20
"""Weight of a transfer beyond its cost, in advances: of plans with equal cost, the one with the
fewest transfers is taken."""


@dataclass(frozen=True, slots=True)
class FileTable:
    """The programme solved for the lengths ``0, unit, 2 unit, …``, one to a column.

    A row is for a number of places in the file, from 0; or there is a single row for any number.
    Costs are in units of advancing over one leaf.
    """

    unit: int
    unlimited: bool
    """Whether there is a single row, for any number of places."""
    truncated: bool
    """Whether there are fewer rows than places that would be of use."""
    splits: NDArray[np.int32]
    """Units to advance from a state in the file; 0: it is not needed there any more."""
    stores: NDArray[np.bool_]
    """Whether to write a live state to the file."""
    live: NDArray[np.float64]
    """``H``"""
    kept: NDArray[np.float64]
    """``P``"""
    live_peaks: NDArray[np.int64]
    """The most places that ``H`` takes."""
    kept_peaks: NDArray[np.int64]
    """The most places that ``P`` takes."""

    @classmethod
    def solve(
        cls,
        num_slots: int,
        max_file_states: int | None,
        write: float,
        read: float,
        *,
        unit: int,
        size: int,
        max_rows: int,
    ) -> "FileTable":
        """Solve for up to `size` units and, if the file is limited, up to `max_rows` places.

        Takes some 20 ms for 2,000 units, and 5 ms more for each row; memory for a few numbers each.
        """
        lengths = range(unit, (size + 1) * unit, unit)
        memory = np.array([0, *(minimal_advances(length, num_slots) for length in lengths)], float)
        live, kept, splits = _solve_rows(memory, None, write, read, unit)
        live_peaks, kept_peaks = _peaks(live[0] < memory, splits[0])
        unlimited = max_file_states is None or bool(live_peaks.max() <= max_file_states)
        if max_file_states is not None and not unlimited:
            rows = min(max_file_states, max_rows)
            live, kept, splits = _solve_rows(memory, rows, write, read, unit)
            live_peaks = kept_peaks = np.arange(rows + 1)[:, np.newaxis]
        return cls(
            unit,
            unlimited=unlimited,
            truncated=not unlimited and max_file_states != len(live) - 1,
            splits=splits,
            stores=live < memory,
            live=live,
            kept=kept,
            live_peaks=np.broadcast_to(live_peaks, live.shape),
            kept_peaks=np.broadcast_to(kept_peaks, live.shape),
        )

    @property
    def full(self) -> int:
        """The row for as many places as there are."""
        return len(self.live) - 1

    def fewer(self, row: int) -> int:
        """Return the row for one place less."""
        return row if self.unlimited else row - 1

    def more(self, row: int) -> int:
        """Return the row for one place more."""
        return row if self.unlimited else row + 1


def _solve_rows(
    memory: NDArray[np.float64], rows: int | None, write: float, read: float, unit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """Return H, P and the splits for 0 to `rows` places, or the single row if it is None.

    A length depends on shorter ones only, of the same row and of that for one place less. So all
    rows are solved at once.
    """
    shape = (1 if rows is None else rows + 1, len(memory))
    live, kept = np.tile(memory, (shape[0], 1)), np.tile(memory, (shape[0], 1))
    splits = np.zeros(shape, np.int32)
    if rows is None:
        first, right = 0, live
    else:
        first, right = 1, live[:-1]
        kept[0] = np.inf  # a state in the file takes a place
    advance = np.arange(len(memory)) * float(unit) + read + TRANSFER_TIE_BREAK
    left = advance + kept[first:]
    each = np.arange(len(left))
    for length in range(2, len(memory)):
        tried = right[:, length - 1 : 0 : -1] + left[:, 1:length]
        best = tried.argmin(axis=1)
        least = tried[each, best]
        splits[first:, length] = (best + 1) * (least < memory[length])
        least = np.minimum(least, memory[length])
        kept[first:, length] = least
        left[:, length] = advance[length] + least
        live[first:, length] = np.minimum(memory[length], write + TRANSFER_TIE_BREAK + least)
    return live, kept, splits


def _peaks(
    stores: NDArray[np.bool_], splits: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places that H and P take for each length if there is no limit."""
    live_peaks, kept_peaks = [0, 0], [1, 1]
    for split, store in zip(splits.tolist()[2:], stores.tolist()[2:], strict=True):
        right = len(live_peaks) - split
        kept_peaks.append(max(1 + live_peaks[right], kept_peaks[split]) if split else 1)
        live_peaks.append(kept_peaks[-1] if store else 0)
    return np.array(live_peaks, np.int64), np.array(kept_peaks, np.int64)
