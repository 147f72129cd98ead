"""Steps that are no function of the state are found by `bitwise_test` and `replay_test`."""

import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.schedules import Revolve
from adjoint.verification import bitwise_test, replay_test

KINDS = pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])


class Forgetful(Pendulums):
    """A step that depends on how often it was taken: no function of its arguments."""

    visits = 0

    def step(self, step, state, out):
        super().step(step, state, out)
        if step == 6:
            self.visits += 1
            out["u"][0] += 1e-12 * self.visits


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
