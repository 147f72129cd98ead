"""Choose the tables to reverse a run by, and how often its first part repeats.

Up to 2,000 leaves the programme of `hierarchical_tables` is solved for every length, and followed
from the start. Longer runs are periodic, as the best schedules are far from the end of a run (Aupy
and Herrmann 2017, doi:10.1080/10556788.2017.1359267). The first sweep writes a state to the slowest
tier every `p` leaves, `q` times, and what is left, `l` leaves, is reversed by the tables; then the
periods are, last first. With `m` places kept for what is in between, that costs

    q (p + w + P(m + 1, p) + r) + H(m, l),    n = q p + l,    q + m <= c

and all `p` that the tables hold are tried, with several `l` and `m`, and with no period at all;
each tier in turn as the slowest that is used. Tables on coarser and coarser grids are tried too, up
to one that holds the whole run. What is best is compared with memory alone: no run costs more than
by Revolve.

On a grid of more than a leaf the last unit of the run may be short of some leaves. Plans are made
as if it were not; the best are compared by what they really come to.
"""

import math
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from operator import itemgetter

import numpy as np

from adjoint.schedules.h_revolve_plan import Plan
from adjoint.schedules.h_revolve_tables import MOVED, Place, Tables
from adjoint.schedules.protocol import num_leaves as num_units

__all__ = ["best_plan"]

EXACT_LEAVES = 2000
"""The most leaves for which every length is solved for."""

EXACT_CELLS = 400_000_000
"""Rows times the square of the size of a table, at most: about half a second. Runs that would take
more, for a tier with hundreds of places that are too few, are treated as longer ones are."""

COARSE_UNITS = 500
COARSE_CELLS = 32_000_000
"""The same for longer runs, for each of their tables."""

COARSER = 4
"""How much coarser each grid is than the one before."""

FRONT_RUNNERS = 2
"""Of the plans that cost least on their grids, how many are counted out."""


def best_plan(num_leaves: int, num_slots: int, places: Sequence[Place]) -> Plan:
    """Return the plan that costs least; for more than 2,000 leaves, of those that are tried."""
    plain = Plan(num_leaves, Tables(num_slots, num_leaves, ()), 0, 1)
    if not places or num_leaves == 1:
        return plain
    if num_leaves <= EXACT_LEAVES:
        most_rows = _most_rows(EXACT_CELLS, num_leaves, places)
        tables = Tables.solve(num_slots, places, 1, num_leaves, most_rows)
        if not any(level.truncated for level in tables.levels):
            return Plan(num_leaves, tables, tables.levels[-1].full, num_leaves)
        found = _periodic_plans(num_leaves, tables, num_leaves)
    else:
        found = _coarse_plans(num_leaves, num_slots, places)
    # the costs found are those of a run that fills its grid
    front = [plan for _cost, plan in nsmallest(FRONT_RUNNERS, found, key=itemgetter(0))]
    tiers = {place.tier: (place.write, place.read) for place in places}
    costs = [tiers.get(tier, (0.0, 0.0)) for tier in range(1, max(tiers) + 1)]
    return min([plain, *front], key=lambda plan: plan.tally(len(costs), 1).price(costs))


def _coarse_plans(
    num_leaves: int, num_slots: int, places: Sequence[Place]
) -> Iterator[tuple[float, Plan]]:
    """Give the best periodic plans of each grid, and their costs a leaf; the finest grid last."""
    most_rows = _most_rows(COARSE_CELLS, COARSE_UNITS, places)
    unit = COARSER * num_units(num_leaves, COARSE_UNITS)
    while unit > 1:
        unit = num_units(unit, COARSER)
        size = min(COARSE_UNITS, num_units(num_leaves, unit))
        tables = Tables.solve(num_slots, places, unit, size, most_rows)
        yield from _periodic_plans(num_leaves, tables, size)


def _periodic_plans(num_leaves: int, tables: Tables, size: int) -> Iterator[tuple[float, Plan]]:
    """Give the best plan with each tier as the slowest that is used, and its cost a leaf."""
    units = num_units(num_leaves, tables.unit)
    for used in range(1, len(tables.levels) + 1):
        faster = Tables(tables.num_slots, tables.unit, tables.levels[:used])
        cost, plan = _periodic(num_leaves, faster, size)
        if plan is not None:
            yield cost / (float(units) * tables.unit), plan


def _most_rows(cells: int, size: int, places: Sequence[Place]) -> int:
    limited = sum(place.capacity is not None for place in places)
    return max(1, cells // (size**2 * max(1, limited)))


def _periodic(num_leaves: int, tables: Tables, size: int) -> tuple[float, Plan | None]:
    """Return the periodic plan that costs least by the tables; None if the places are too few."""
    level, unit = tables.levels[-1], tables.unit
    units = num_units(num_leaves, unit)
    capacity = math.inf if level.place.capacity is None else level.place.capacity
    periods = np.arange(1, size + 1)
    longest = np.array([_longest_tail(units, period, size) for period in range(1, size + 1)])
    transfers = level.place.write + level.place.read + 2 * MOVED
    least, best = math.inf, None
    for row in _geometric(level.full):
        if units <= size and level.whole[row, units] < least:
            least, best = float(level.whole[row, units]), Plan(num_leaves, tables, row, units)
        inside = row if level.endless else row + 1
        if inside > level.full:
            continue
        each = periods * float(unit) + transfers + level.kept[inside, 1:]
        for fewer in _geometric(size):
            tails = np.maximum(longest - fewer * periods, 0)
            repeats = (float(units) - tails) / periods
            room = (repeats + level.peaks[row, tails] <= capacity) & (
                repeats - 1 + level.kept_peaks[inside, 1:] <= capacity
            )
            cost = np.where(room & (tails > 0), repeats * each + level.whole[row, tails], np.inf)
            at = int(cost.argmin())
            if cost[at] < least:
                period, tail = at + 1, int(tails[at])
                repeats = (units - tail) // period
                least, best = float(cost[at]), Plan(num_leaves, tables, row, tail, repeats, period)
    return least, best


def _longest_tail(units: int, period: int, size: int) -> int:
    """Return the most units that the tables can do after at least one period; 0 if there are none.

    It leaves a whole number of periods.
    """
    tail = size - (size - units) % period
    return tail if tail < units else max(0, units - period)


def _geometric(last: int) -> list[int]:
    return sorted({0, last, *(1 << k for k in range(last.bit_length()))})
