"""Long runs cost per leaf what the best period costs, or hardly more than the optimum."""

import numpy as np
import pytest
from revolve_dynamic_program import fewest

from adjoint.schedules import DiskRevolve

LONGEST, SLOTS = 300, 3
ADVANCES = fewest(LONGEST, SLOTS)
IN_MEMORY = np.array([0, *(ADVANCES[length, SLOTS][0] for length in range(1, LONGEST + 1))], float)


def period_costs(write, read):
    """Return the cost of each period: writing and reading its first state, and its advances."""
    segment = IN_MEMORY.copy()
    for length in range(2, LONGEST + 1):
        split = np.arange(1, length)
        again = split + IN_MEMORY[length - split] + read + segment[split]
        segment[length] = min(segment[length], again.min())
    return np.arange(1, LONGEST + 1) + write + read + segment[1:]


@pytest.mark.parametrize(("write", "read"), [(0.25, 0.5), (2, 2), (10, 3), (50, 50), (3, 80)])
def test_of_a_billion_leaves(write, read):
    lengths = np.arange(1, LONGEST + 1)
    best = (period_costs(write, read) / lengths).min()
    tally = DiskRevolve(10**9, SLOTS, write=write, read=read).tally
    assert tally.price(write, read) / 10**9 == pytest.approx(best, rel=2e-6)


@pytest.mark.parametrize(("write", "read"), [(0.25, 0.5), (10, 3), (50, 50)])
def test_against_the_optimum(write, read):
    steps = 2500
    periods = period_costs(write, read)
    least = np.full(
        steps + 1, np.inf
    )  # by dynamic programming over the states that the forward sweep writes
    least[: LONGEST + 1] = IN_MEMORY
    for length in range(2, steps + 1):
        first = np.arange(1, min(LONGEST, length - 1) + 1)
        least[length] = min(least[length], (periods[first - 1] + least[length - first]).min())
    tally = DiskRevolve(steps, SLOTS, write=write, read=read).tally
    found = tally.price(write, read)
    assert least[steps] - 1e-6 <= found <= 1.002 * least[steps]


def test_costs_are_in_units_of_a_leaf():
    whole = DiskRevolve(10_000, 4, write=5, read=6)
    leaves = DiskRevolve(29_998, 4, write=5, read=6, leaf_steps=3)
    assert leaves.tally.advances == 3 * whole.tally.advances
    assert leaves.tally.writes == whole.tally.writes
