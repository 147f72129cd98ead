"""The makespans that plans are compared with are right: `replay` plays what they only work out."""

import pytest
from baselines import baseline_schedules, baselines
from random_configurations import configuration

from adjoint.schedules import Revolve, StoreAll
from adjoint.simulation.replay import price


def schedules(drawn):
    n, slots = drawn.num_steps, drawn.num_slots
    found = {"Revolve": Revolve(n, slots)} | baseline_schedules(drawn)
    if slots >= n - 1:
        found["StoreAll"] = StoreAll(n)
    return found


@pytest.mark.parametrize(("max_steps", "seeds"), [(10, range(40)), (600, range(100, 200))])
def test_makespans(max_steps, seeds):
    for drawn in (configuration(seed, max_steps=max_steps) for seed in seeds):
        played = {
            name: price(schedule, drawn.costs, num_slots=drawn.num_slots).makespan
            for name, schedule in schedules(drawn).items()
        }
        assert baselines(drawn) == pytest.approx(played, rel=1e-12), drawn
