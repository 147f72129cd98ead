"""Up to beta(s, 2) leaves, no choice of states is better even if the end is known."""

import pytest
from online_rules import least_cost

from adjoint.schedules import Online
from adjoint.schedules.revolve import beta, minimal_advances
from adjoint.simulation.replay import price


@pytest.mark.parametrize("slots", range(1, 11))
def test_every_end(slots):
    for end in range(1, beta(slots, 2) + 1):
        found = price(Online(slots), num_steps=end)
        assert found.advances == least_cost(end, slots), end


def test_one_leaf_more_than_revolve_while_slots_are_free():
    for end in range(2, 30):
        found = price(Online(30), num_steps=end)
        assert found.advances == minimal_advances(end, 30) + 1 == end
