"""No step after the last one is taken, also where the run is shorter than a leaf."""

import time

import numpy as np
import pytest
from adaptive_pendulum import AdaptivePendulum

import adjoint


class Bounded(adjoint.FunctionStepper):
    """``u[k+1] = c u[k]``, as far as there are forces."""

    leaf_steps = 8

    def __init__(self, num_steps):
        super().__init__({"u": np.ones(3)}, {"c": np.array(0.9)})
        self.num_steps = num_steps

    def step(self, k, state, out):
        assert k < self.num_steps
        out["u"] = self.controls["c"] * state["u"]

    def step_vjp(self, k, state, adjoint, gradient):
        assert k < self.num_steps
        gradient["c"] += adjoint["u"] @ state["u"]
        adjoint["u"] *= self.controls["c"]

    def terminal_cost(self, state):
        return float(state["u"].sum())

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 1


@pytest.mark.parametrize("num_steps", [1, 3, 8, 9, 20])
@pytest.mark.parametrize("with_file", [False, True])
def test_the_run_is_measured_within_its_steps(num_steps, with_file, tmp_path):
    file = {"file": tmp_path} if with_file else {}
    result = adjoint.gradient(Bounded(num_steps), num_steps, memory=2000, **file)
    assert result.gradient["c"] == pytest.approx(3 * num_steps * 0.9 ** (num_steps - 1))


class Slow(AdaptivePendulum):
    """Its steps take so long that trials would pay in a long run; it counts them."""

    count = 0

    def step(self, k):
        self.count += 1
        time.sleep(1e-5)
        super().step(k)


def test_a_run_of_unknown_length_is_not_measured_by_sweeps():
    stepper = Slow()
    with adjoint.Functional(stepper, None) as functional:
        functional.plan()
    assert stepper.count < 2000
