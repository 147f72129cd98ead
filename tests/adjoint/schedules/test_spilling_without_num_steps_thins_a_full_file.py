"""With no end known, a full file gives up every other state and goes on at twice the interval."""

import pytest
from ended import Ended

from adjoint.schedules import Spilling
from adjoint.schedules.actions import Discard, Offload, Tier
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

COSTS = Costs(pull_back=2, write=3, read=3)


@pytest.mark.parametrize("room", [2, 3, 7, 8])
@pytest.mark.parametrize("leaf", [1, 3])
def test_the_file_never_holds_more(room, leaf):
    schedule = Spilling(None, 4, 3 * leaf, costs=COSTS, leaf_steps=leaf, max_file_states=room)
    for steps in [*range(1, 60), 100, 333, 1000]:
        found = price(Ended(schedule, steps), COSTS, num_steps=steps, num_slots=4, file_states=room)
        assert found.num_steps == steps
        assert found.peak_file_states <= room


def test_ten_thousand_steps():
    schedule = Spilling(None, 20, 3, costs=COSTS, max_file_states=50)
    found = price(Ended(schedule, 10**4), COSTS, num_steps=10**4, num_slots=20, file_states=50)
    assert 25 <= found.peak_file_states <= 50


def test_the_interval_doubles():
    schedule, file = Spilling(None, 2, 3, costs=COSTS, max_file_states=4), set()
    held = []
    for action in Ended(schedule, 200):
        if type(action) is Offload:
            file.add(action.step)
            held.append(sorted(file))
        elif type(action) is Discard and action.tier == Tier.FILE:
            file.discard(action.step)
    fullest = [states for states in held if len(states) == 4]
    assert fullest[:4] == [[0, 3, 6, 9], [0, 6, 12, 18], [0, 12, 24, 36], [0, 24, 48, 72]]
