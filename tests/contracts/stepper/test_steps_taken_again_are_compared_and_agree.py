"""Steps that a gradient takes again are compared with the first time, and agree."""

import pytest

import adjoint
from adjoint.schedules import Revolve, Spilling
from adjoint.schedules.costs import Costs
from adjoint.sweep import replay_check

COSTS = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=2.0, read=2.0)

SCHEDULES = {
    "in memory": lambda steps, leaf: Revolve(steps, 3, leaf_steps=leaf),
    "with a file": lambda steps, leaf: Spilling(steps, 2, 2.0 * leaf, costs=COSTS, leaf_steps=leaf),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_in_every_leaf(kind, case, make, tmp_path, monkeypatch):
    monkeypatch.setattr(replay_check, "MAX_GAP", 1)
    stepper = make()
    schedule = SCHEDULES[kind](case.num_steps, getattr(stepper, "leaf_steps", 1))
    report = adjoint.gradient(stepper, case.num_steps, schedule=schedule, file=tmp_path).report
    if getattr(stepper, "reproducible", True):
        assert report.compared_states >= case.num_steps // schedule.leaf_steps - 1
    else:
        assert "not reproducible" in report.unchecked
