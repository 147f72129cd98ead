"""Where a cost does not show whether its gradient is right, the test has not passed."""

import numpy as np
from planted_errors import Diffusion, Growth

import adjoint
from adjoint.verification import taylor_test

NUM_STEPS = 12


def result_of(stepper, **options):
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        return taylor_test(functional, **options)


class Observed(Growth):
    """The misfit to a run with the same controls: a minimum, where the gradient is zero."""

    target = np.zeros(1)

    def step_cost(self, step, state):
        return 0.0

    def step_cost_vjp(self, step, state, adjoint, gradient):
        pass

    def terminal_cost(self, state):
        return 0.5 * float(np.sum((state["u"] - self.target) ** 2))

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"] - self.target


def test_at_a_minimum():
    stepper = Observed.make(np.float64)
    stepper.start()
    stepper.advance(0, NUM_STEPS)
    stepper.target = stepper.state["u"].copy()
    for seed in range(4):
        result = result_of(stepper, seed=seed)
        assert result.verdict == "cannot tell"
        assert not result.passed
        assert "too small to be seen" in str(result)
    stepper.controls["start"] *= 1.1
    assert result_of(stepper).passed


class Noisy(Diffusion):
    """A cost of which only the first digits are computed."""

    def terminal_cost(self, state):
        cost = super().terminal_cost(state)
        return cost * (1 + 1e-5 * np.sin(1e13 * cost))


def test_in_noise():
    result = result_of(Noisy.make(np.float64))
    assert result.verdict == "cannot tell"
    assert "round-off" in str(result)


class Kinked(Diffusion):
    """Half of all cells are exactly where the cost has a kink."""

    def terminal_cost(self, state):
        return super().terminal_cost(state) + float(np.sum(np.abs(self.controls["m"] - 0.1)))

    def terminal_cost_vjp(self, state, adjoint, gradient):
        super().terminal_cost_vjp(state, adjoint, gradient)
        gradient["m"] += np.where(self.controls["m"] >= 0.1, 1.0, -1.0)


def test_on_a_kink():
    for seed in range(4):
        stepper = Kinked.make(np.float64)
        assert result_of(stepper, seed=seed).verdict == "cannot tell"
        stepper.controls["m"][:] = 0.15
        assert result_of(stepper, seed=seed).passed


class Short(Growth):
    """The rate must not be moved far: it is infinite above 0.81."""

    def step(self, step, state, out):
        super().step(step, state, out)
        if self.controls["rate"][0] > 0.8001:
            out["u"][:] = np.nan


def test_steps_to_where_the_cost_is_not_finite_are_shortened():
    result = result_of(Short.make(np.float64))
    assert result.passed, result


def test_a_control_without_influence_is_right_and_a_gradient_of_it_wrong():
    stepper = Growth.make(np.float64)
    stepper.controls["idle"] = np.ones(4)
    stepper.accumulators["idle"] = np.zeros(4)
    result = result_of(stepper)
    assert result.passed
    assert "zero in both ways at these controls: control 'idle'" in str(result)

    class Invented(Growth):
        def finish(self):
            super().finish()
            self.accumulators["idle"] += 1e-6

    wrong = Invented.make(np.float64)
    wrong.controls["idle"] = np.ones(4)
    wrong.accumulators["idle"] = np.zeros(4)
    assert result_of(wrong).verdict == "wrong"
