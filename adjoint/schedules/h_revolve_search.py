"""The choice of a plan for H-Revolve: tables on which grid, and how often a period is repeated.

Up to 2,000 leaves the programme of `h_revolve_table` is solved for every length. Longer runs are
periodic, as optimal schedules are far from the end of a run (Aupy and Herrmann 2017,
doi:10.1080/10556788.2017.1359267). The forward sweep writes a state to the file every `p` leaves,
`q` times; the remaining `l` leaves are reversed by the table, and then the periods, last first.
With `m` of the `c` places in the file reserved for states in between, that costs

    q (p + w + P(m + 1, p) + r) + H(m, l),    n = q p + l,    q + m <= c

All `p` in the table are tried, with several `l` and `m`, as is no period at all. Tables on several
grids are tried, up to one coarse enough to hold the whole run. The result is compared with Revolve
in memory, so no run costs more than that.

With more than one leaf to a unit, the last unit of the run may be incomplete. Plans are searched as
if it were complete; the best ones are compared by their true costs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from operator import itemgetter

import numpy as np

from adjoint.schedules.h_revolve_plan import Plan
from adjoint.schedules.h_revolve_table import TRANSFER_TIE_BREAK, FileTable
from adjoint.schedules.protocol import num_leaves as num_units

__all__ = ["Places", "best_plan"]

EXACT_LEAVES = 2000
"""The most leaves for which every length is solved, in some 20 ms without a limit on the file."""

EXACT_CELLS = 400_000_000
"""The largest table for which every length is solved, as rows times columns squared: half a second.
Runs that need more, since hundreds of places are too few, are planned like longer ones."""

COARSE_UNITS = 500
"""The most units in a table for a longer run: some 5 ms without a limit on the file."""

COARSE_CELLS = 32_000_000
"""The largest table for a longer run, as rows times columns squared: 40 ms."""

GRID_RATIO = 4
"""Ratio of the units of successive grids."""

MAX_COUNTED = 2
"""Number of plans, the cheapest on their grids, whose true costs are compared."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where states can be kept, and at what cost in units of advancing over a leaf."""

    num_slots: int
    max_file_states: int | None
    """None is no limit."""
    write: float
    read: float

    def table(self, unit: int, size: int, max_cells: int) -> FileTable:
        """Solve for up to `size` units."""
        max_rows = max(1, max_cells // size**2)
        places = (self.num_slots, self.max_file_states, self.write, self.read)
        return FileTable.solve(*places, unit=unit, size=size, max_rows=max_rows)


def best_plan(num_leaves: int, places: Places) -> Plan:
    """Return the cheapest plan; for more than 2,000 leaves, the cheapest of those tried."""
    in_memory = Plan(num_leaves, places.num_slots)
    if places.max_file_states == 0 or num_leaves == 1:
        return in_memory
    if num_leaves <= EXACT_LEAVES:
        table = places.table(1, num_leaves, EXACT_CELLS)
        if not table.truncated:
            return Plan(num_leaves, places.num_slots, table, table.full, num_leaves)
        found = [_periodic(num_leaves, places, table)]
    else:
        found = [_periodic(num_leaves, places, table) for table in _grids(num_leaves, places)]
    best = nsmallest(MAX_COUNTED, found, key=itemgetter(0))
    plans = [in_memory, *(plan for _cost, plan in best if plan is not None)]
    return min(plans, key=lambda plan: plan.tally().price(places.write, places.read))


def _grids(num_leaves: int, places: Places) -> Iterator[FileTable]:
    """Give the tables for a long run, the finest last."""
    unit = GRID_RATIO * num_units(num_leaves, COARSE_UNITS)
    while unit > 1:
        unit = num_units(unit, GRID_RATIO)
        yield places.table(unit, min(COARSE_UNITS, num_units(num_leaves, unit)), COARSE_CELLS)


def _periodic(num_leaves: int, places: Places, table: FileTable) -> tuple[float, Plan | None]:
    """Return the cheapest periodic plan by a table, and its cost a leaf if all units are complete.

    None, at infinite cost, if there are too few places in the file.
    """
    units, size = num_units(num_leaves, table.unit), table.live.shape[1] - 1
    capacity = math.inf if places.max_file_states is None else places.max_file_states
    periods = np.arange(1, size + 1)
    longest = np.array([_longest_tail(units, period, size) for period in range(1, size + 1)])
    transfers = places.write + places.read + 2 * TRANSFER_TIE_BREAK
    least, best = math.inf, None
    for row in _powers_of_two(table.full):
        if units <= size and table.live[row, units] < least:
            least = float(table.live[row, units])
            best = Plan(num_leaves, places.num_slots, table, row, units)
        inside = table.more(row)
        if inside > table.full:
            continue
        each = periods * float(table.unit) + transfers + table.kept[inside, 1:]
        for fewer in _powers_of_two(size):
            tails = np.maximum(longest - fewer * periods, 0)
            repeats = (float(units) - tails) / periods
            room = (repeats + table.live_peaks[row, tails] <= capacity) & (
                repeats - 1 + table.kept_peaks[inside, 1:] <= capacity
            )
            cost = np.where(room & (tails > 0), repeats * each + table.live[row, tails], np.inf)
            at = int(cost.argmin())
            if cost[at] < least:
                period, tail = at + 1, int(tails[at])
                count = (units - tail) // period
                least = float(cost[at])
                best = Plan(num_leaves, places.num_slots, table, row, tail, count, period)
    return least / (float(units) * table.unit), best


def _longest_tail(units: int, period: int, size: int) -> int:
    """Return the most units of the table that follow a whole number of periods, at least one.

    0 if there are none.
    """
    tail = size - (size - units) % period
    return tail if tail < units else max(0, units - period)


def _powers_of_two(last: int) -> list[int]:
    """Return 0, the powers of two up to `last`, and `last`."""
    return sorted({0, last, *(1 << k for k in range(last.bit_length()))})
