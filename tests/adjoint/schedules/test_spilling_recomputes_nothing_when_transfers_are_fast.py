"""Where a write takes no longer than a leaf, and a read than its reversal, no leaf is taken again.

What is waited for is what is under way at the two ends of the run, and one slot is enough.
"""

import pytest

from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
@pytest.mark.parametrize("leaf", [1, 3])
@pytest.mark.parametrize(
    ("u_b", "w", "r"), [(2, 1, 2), (2, 0.5, 1), (1, 1, 1), (3, 0.99, 2.9), (1, 0, 0)]
)
def test_makespan(slots, leaf, u_b, w, r):
    costs = Costs(pull_back=u_b, write=leaf * w, read=leaf * r)
    for leaves in (1, 2, 3, 10, 100, 1000):
        steps = leaf * leaves
        schedule = Spilling(steps, slots, leaf, costs=costs, leaf_steps=leaf, tail_repeats=0)
        found = price(schedule, costs)
        assert found.advances == steps - leaf
        busy = found.advances + found.leaf_advances + u_b * steps
        assert found.makespan - busy <= leaf * (w + r + 1) + 1e-9
