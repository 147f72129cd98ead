"""Steppers that repeat their steps exactly pass the comparison of replays, in O(slots) memory.

Other tests show that failing disks, kills and every schedule leave the gradient its bits, with the
comparison on. Here it is shown to have taken place.
"""

import numpy as np
import pytest
from ended import Ended
from every_schedule import schedules, with_tapes_of_states
from faulty_engine import Faults
from hypothesis import given, settings
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.schedules import Revolve, Spilling
from adjoint.schedules.costs import Costs
from adjoint.sweep import replay_check, sweep
from adjoint.sweep.replay_check import ReplayCheck

COSTS = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=2.0, read=2.0)


class Watched(ReplayCheck):
    """Notes the largest number of marks."""

    most = 0

    def reached(self, *arguments, **more):
        super().reached(*arguments, **more)
        Watched.most = max(Watched.most, len(self._kept) + len(self.starts))


@settings(max_examples=60, deadline=None)
@given(schedules(max_steps=60, max_slots=6))
def test_marks_are_no_more_than_snapshots_and_tapes(tmp_path_factory, schedule):
    num_steps = schedule.num_steps
    played = schedule.schedule if isinstance(schedule, Ended) else schedule
    played = with_tapes_of_states(played)
    Watched.most = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "ReplayCheck", Watched)
        patch.setattr(replay_check, "MAX_GAP", 1)
        file = tmp_path_factory.mktemp("run") if played.file_states else None
        adjoint.gradient(Pendulums(1, num_steps), num_steps, schedule=played, file=file)
    assert Watched.most <= played.num_slots + played.file_states + played.num_tapes + 2


@pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])
@pytest.mark.parametrize("seed", range(8))
def test_with_states_that_are_lost(kind, seed, tmp_path):
    num_steps = 40
    faults = Faults.random(seed, ranks=1, transfers=9, state_bytes=4096)
    schedule = Spilling(num_steps, 3, 4, costs=COSTS)
    result = adjoint.gradient(
        kind(2, num_steps), num_steps, schedule=schedule, file=tmp_path / "run.h5", engine=faults
    )
    assert result.report.compared_states > 0


def test_large_states_are_compared_by_samples():
    class Large(adjoint.FunctionStepper):
        def __init__(self):
            super().__init__({"u": np.linspace(1, 2, 200_000)}, {"m": np.ones(1)})

        def step(self, step, state, out):
            np.multiply(state["u"], 1 - 1e-3 * self.controls["m"], out=out["u"])

        def step_vjp(self, step, state, adjoint, gradient):
            gradient["m"] -= 1e-3 * state["u"] @ adjoint["u"]
            adjoint["u"] *= 1 - 1e-3 * self.controls["m"]

        def terminal_cost(self, state):
            return float(state["u"].sum())

        def terminal_cost_vjp(self, state, adjoint, gradient):
            adjoint["u"] += 1

    report = adjoint.gradient(Large(), 20, schedule=Revolve(20, 3)).report
    assert report.state_bytes > 1 << 20
    assert report.compared_states >= 10
