"""Of all reversals with the fewest steps, Mixed has the fewest stores and restores."""

import pytest
from shortest_reversal import cheapest

from adjoint.schedules import Mixed
from adjoint.schedules.actions import Restore, Store
from adjoint.schedules.mixed import mixed_steps


@pytest.mark.parametrize("unreached", [0, 0.5, 1])
@pytest.mark.parametrize("tape_slots", [1, 2])
@pytest.mark.parametrize(("leaves", "max_slots"), [(1, 0), (3, 3), (5, 3), (6, 2)])
def test_searched(leaves, max_slots, tape_slots, unreached):
    for slots in range(min(1, max_slots), max_slots + 1):
        actions = Mixed(leaves, slots, tape_slots, unreached=unreached)
        steps = mixed_steps(leaves, slots, tape_slots, unreached=unreached)
        kept = sum(type(action) in {Store, Restore} for action in actions)
        assert (steps, kept) == cheapest(leaves, slots, tape_slots, unreached), slots
