"""No plan is slower than Revolve, storing all, disk-Revolve or the asynchronous scheme of 2018.

Up to 10^5 steps. `tests/benchmarks/never_slower.py` does the same for any number of configurations.
"""

import pytest
from baselines import baselines, makespan
from random_configurations import configuration

from adjoint.planning.planner import compare
from adjoint.simulation.replay import price

ROUNDING = 1e-9


def planned(drawn):
    return compare(drawn.num_steps, drawn.costs, drawn.budget)[0].schedule


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_never_slower(first):
    slower = []
    for seed in range(first, first + 50):
        drawn = configuration(seed)
        schedule = planned(drawn)
        took, least = makespan(schedule, drawn), min(baselines(drawn).values())
        if took > (1 + ROUNDING) * least:
            slower.append(f"{took / least - 1:.2e} of {drawn} (seed {seed}) by {schedule}")
    assert not slower, "\n".join(slower)


@pytest.mark.parametrize(("max_steps", "seeds"), [(1000, range(40)), (20_000, range(8))])
def test_makespans_taken_from_the_virtual_clock_are_those_of_replay(max_steps, seeds):
    for seed in seeds:
        drawn = configuration(seed, max_steps=max_steps)
        schedule = planned(drawn)
        played = price(
            schedule, drawn.costs, num_slots=drawn.num_slots, file_states=drawn.num_steps
        )
        assert makespan(schedule, drawn) == pytest.approx(played.makespan, rel=1e-12), drawn
