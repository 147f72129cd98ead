"""The tests we give to users pass on a right stepper and fail on a wrong one."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.schedules import Revolve
from adjoint.verification import bitwise_test, dot_product_test, replay_test, taylor_test

KINDS = pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])


class WrongDerivative(Pendulums):
    """One coefficient of the transposed step is off by one part in a thousand."""

    def step_vjp(self, step, state, adjoint, gradient):
        super().step_vjp(step, state, adjoint, gradient)
        adjoint["v"] *= 1.001


class Forgetful(Pendulums):
    """A step that depends on how often it was taken: no function of its arguments."""

    visits = 0

    def step(self, step, state, out):
        super().step(step, state, out)
        if step == 6:
            self.visits += 1
            out["u"][0] += 1e-12 * self.visits


@KINDS
def test_taylor_order_is_two_and_controls_are_left_alone(kind):
    stepper = kind(3, 25)
    before = {name: array.copy() for name, array in stepper.controls.items()}
    with adjoint.Functional(stepper, 25, schedule=Revolve(25, 3)) as functional:
        result = taylor_test(functional)
    assert result.passed
    assert result.order > 1.95
    assert len(result.orders) == 3
    for name, array in before.items():
        assert np.array_equal(stepper.controls[name], array)


def test_taylor_in_one_control_alone():
    stepper = Pendulums(3, 25)
    with adjoint.Functional(stepper, 25, schedule=Revolve(25, 3)) as functional:
        for name in stepper.controls:
            direction = {name: np.ones_like(stepper.controls[name])}
            assert taylor_test(functional, direction).passed, name


def test_taylor_finds_a_derivative_that_is_wrong_by_a_thousandth():
    with adjoint.Functional(WrongDerivative(3, 25), 25, schedule=Revolve(25, 3)) as functional:
        result = taylor_test(functional)
    assert not result.passed
    assert result.order < 1.9


@KINDS
def test_dot_product_agrees(kind):
    result = dot_product_test(kind(3, 12), 12)
    assert result.passed
    assert result.relative_error < 1e-9


def test_dot_product_finds_a_wrong_derivative():
    assert not dot_product_test(WrongDerivative(3, 12), 12).passed


@KINDS
def test_bitwise_passes(kind):
    with adjoint.Functional(kind(3, 30), 30, schedule=Revolve(30, 2, leaf_steps=3)) as functional:
        assert bitwise_test(functional).passed


def test_bitwise_finds_a_step_that_is_no_function():
    with adjoint.Functional(Forgetful(3, 12), 12, schedule=Revolve(12, 2)) as functional:
        result = bitwise_test(functional)
    assert not result.passed
    assert "angle" in result.differing


@KINDS
def test_replay_passes(kind):
    assert replay_test(kind(3, 40), 40).passed


def test_replay_names_the_first_step_that_differs():
    stepper = Forgetful(3, 40)
    result = replay_test(stepper, 40, seed=2)
    assert not result.passed
    assert result.first_difference in (7, 8, 9, 10)
