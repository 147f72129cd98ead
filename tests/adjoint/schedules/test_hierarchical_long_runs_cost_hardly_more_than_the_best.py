"""Runs too long to solve every length for cost at most a few per cent more than the best."""

import pytest

from adjoint.schedules import HRevolve, h_revolve_search

MEMORY = (3, 0, 0)


@pytest.mark.parametrize("steps", [1500, 1990])
@pytest.mark.parametrize(
    "below",
    [
        [(None, 2, 2)],
        [(None, 0.5, 7)],
        [(5, 2, 2)],
        [(25, 2, 1)],
        [(5, 1, 1), (10, 10, 10)],
        [(20, 1, 1), (None, 20, 20)],
    ],
)
def test_beside_every_length_solved(steps, below, monkeypatch):
    costs = [(write, read) for _capacity, write, read in below]
    best = HRevolve(steps, [MEMORY, *below]).tally.price(costs)
    monkeypatch.setattr(h_revolve_search, "EXACT_LEAVES", 100)
    found = HRevolve(steps, [MEMORY, *below]).tally.price(costs)
    # each step is also recorded and pulled back, which costs no less than advancing twice
    assert best <= found + 1e-6
    assert found + 2 * steps <= 1.03 * (best + 2 * steps)
