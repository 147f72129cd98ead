"""A fallback schedule takes little longer than the ideal on the simulated machine."""

import pytest

from adjoint.schedules import Multistage, fallback_schedule
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

NUM_STEPS = 2000


def over_ideal(schedule, costs):
    step = costs.advance + costs.pull_back
    return price(schedule, costs).makespan / (NUM_STEPS * step - costs.advance)


@pytest.mark.parametrize("leaf", [1, 5])
@pytest.mark.parametrize("num_slots", [4, 16])
def test_transfers_faster_than_steps_cost_nothing(num_slots, leaf):
    costs = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=0.5, read=0.5)
    given = Multistage(NUM_STEPS, num_slots, NUM_STEPS, leaf_steps=leaf)
    found = fallback_schedule(given, NUM_STEPS, costs)
    # Only the leaves are taken again, to be taped, and a little more if the file is too small.
    assert over_ideal(found, costs) <= 1.55


@pytest.mark.parametrize("num_slots", [4, 16])
def test_states_are_far_enough_apart_to_hide_slow_reads(num_slots):
    costs = Costs(advance=1.0, pull_back=2.0, write=0.5, read=10.0)
    given = Multistage(NUM_STEPS, num_slots, NUM_STEPS)
    found = fallback_schedule(given, NUM_STEPS, costs)
    # 1.24 if every read is hidden, 3.66 if states are as close as writes allow
    assert over_ideal(found, costs) <= 1.4
