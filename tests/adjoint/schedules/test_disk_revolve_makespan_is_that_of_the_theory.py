"""Disk-Revolve takes the time of the theory, relative to keeping everything in memory."""

import pytest

from adjoint.schedules import DiskRevolve
from adjoint.simulation.replay import Costs, price

# (slots, write = read) -> for a thousand and for ten thousand steps; a pull-back costs two steps
FOUND = {
    (4, 0.5): (1.33, 1.33),
    (4, 10): (1.96, 1.98),
    (4, 50): (2.48, 2.54),
    (4, 200): (3.00, 3.20),
    (16, 10): (1.61, 1.67),
    (16, 50): (1.62, 1.82),
    (16, 200): (1.62, 2.01),
    (64, 50): (1.31, 1.59),
    (64, 200): (1.31, 1.59),
}


@pytest.mark.parametrize("case", FOUND)
@pytest.mark.parametrize("long", [False, True])
def test_makespan(case, long):
    slots, transfer = case
    steps = 10_000 if long else 1000
    costs = Costs(advance=1, pull_back=2, write=transfer, read=transfer)
    found = price(DiskRevolve(steps, slots, write=transfer, read=transfer), costs)
    ideal = (steps - 1) + 2 * steps
    assert found.makespan / ideal == pytest.approx(FOUND[case][long], abs=0.0051)
