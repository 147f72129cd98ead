"""Of the schedules that advance the fewest steps, Revolve stores the fewest states."""

from revolve_dynamic_program import fewest

from adjoint.schedules import Revolve
from adjoint.schedules.actions import Store


def test_stores_are_those_of_brute_force():
    for (steps, slots), (_advances, stores) in fewest(90, 9).items():
        initial = 1 if steps > 1 else 0
        found = sum(type(action) is Store for action in Revolve(steps, slots))
        assert found == stores + initial, (steps, slots)
