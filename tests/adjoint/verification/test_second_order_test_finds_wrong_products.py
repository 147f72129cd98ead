"""Right second derivatives pass with order 2; symmetric but wrong ones have order 1."""

import numpy as np
import pytest
from pendulums import Pendulums
from seven_cells import NUM_STEPS, AnalyticCells, Cells, controls
from stepper_by_hand import copied

import adjoint
from adjoint.errors import ArgumentError
from adjoint.schedules import Revolve
from adjoint.verification import second_order_test


def verdict(stepper, num_steps=NUM_STEPS, direction=None):
    before = copied(stepper.controls)
    schedule = Revolve(num_steps, 4)
    with adjoint.Functional(stepper, num_steps, schedule=schedule) as functional:
        found = second_order_test(functional, direction)
    assert all(np.array_equal(stepper.controls[k], c) for k, c in before.items())
    return found


@pytest.mark.parametrize("kind", [Cells, AnalyticCells])
def test_right_ones_pass(kind):
    found = verdict(kind())
    assert found.passed, found
    assert found.orders[-1] >= 1.95
    assert found.symmetry <= 1e-13
    assert max(found.step_errors.values()) <= 1e-14
    assert "second derivatives: right" in str(found)


def test_a_longer_run_with_replay_data_passes():
    found = verdict(Pendulums(3, 200), 200)
    assert found.passed, found
    assert found.orders[-1] >= 1.95


def test_one_direction():
    assert verdict(Cells(), direction={"b": np.ones(7)}).passed


class TooCurved(Cells):
    """Every second derivative of the terminal cost is 1 % too large: symmetric, and so not seen
    by the identities."""

    def terminal_cost_curvature(self, state, tangent, control_tangent, out, gradient):
        larger = {name: 1.01 * array for name, array in tangent.items()}
        more = {name: 1.01 * array for name, array in control_tangent.items()}
        super().terminal_cost_curvature(state, larger, more, out, gradient)


def test_a_symmetric_error_has_order_one():
    found = verdict(TooCurved())
    assert not found.passed
    assert found.orders[-1] < 1.5
    assert found.symmetry <= 1e-13
    assert "second derivatives: wrong" in str(found)


class NotTransposed(Cells):
    def step_jvp(self, step, state, tangent, control_tangent, out):
        super().step_jvp(step, state, tangent, control_tangent, out)
        out["u"] += 1e-3 * tangent["u"]


def test_an_identity_that_does_not_hold_is_named():
    found = verdict(NotTransposed())
    assert not found.passed
    assert "is not the transpose of step_jvp()" in found.refusal
    assert found.refusal in str(found)


class Quadratic(adjoint.FunctionStepper):
    """An affine step and a quadratic cost: the gradient has no remainder."""

    def __init__(self):
        super().__init__({"u": np.zeros(7)}, {"f": controls()["b"]})

    def step(self, step, state, out):
        out["u"][:] = 0.9 * state["u"] + self.controls["f"]

    def step_vjp(self, step, state, adjoint, gradient):
        gradient["f"] += adjoint["u"]
        adjoint["u"] *= 0.9

    def step_jvp(self, step, state, tangent, control_tangent, out):
        out["u"][:] = 0.9 * tangent["u"] + control_tangent["f"]

    def terminal_cost(self, state):
        return state["u"] @ state["u"] / 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]


def test_a_quadratic_cost_has_no_remainder():
    found = verdict(Quadratic())
    assert found.passed, found
    assert not found.orders


def test_what_is_no_functional_is_refused():
    with pytest.raises(ArgumentError, match="second_order_test takes a Functional"):
        second_order_test(Cells())
