"""Rounding, chaos and derived entries hide or bend derivatives: that is no error of a gradient."""

import numpy as np
import pytest

import adjoint
from adjoint import FunctionStepper
from adjoint.schedules import StoreAll
from adjoint.verification import dot_product_test, replay_test, taylor_test


class Pointwise(FunctionStepper):
    """``u' = f(u, m)`` in each entry, with derivatives; the cost is ``|u|^2 / 2`` at the end."""

    factor = 1.0
    """Of the derivative with respect to the control: one is right."""

    def __init__(self, f, f_u, f_m, state=0.4, control=0.8, size=1, dtype=np.float32):
        self.formulas = f, f_u, f_m
        controls = {"m": np.full(1, control, dtype)}
        super().__init__({"u": np.linspace(state, 1.1 * state, size).astype(dtype)}, controls)

    def step(self, step, state, out):
        out["u"][:] = self.formulas[0](state["u"], self.controls["m"])

    def step_vjp(self, step, state, adjoint, gradient):
        _, f_u, f_m = self.formulas
        u, m = state["u"], self.controls["m"]
        gradient["m"] += self.factor * np.sum(f_m(u, m) * adjoint["u"])
        adjoint["u"] *= f_u(u, m)

    def terminal_cost(self, state):
        return 0.5 * float(np.sum(state["u"].astype(float) ** 2))

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]


def slow(h, **options):
    """Return logistic growth by small steps."""
    return Pointwise(
        lambda u, m: u + h * m * u * (1 - u),
        lambda u, m: 1 + h * m * (1 - 2 * u),
        lambda u, m: h * u * (1 - u),
        **options,
    )


def beside(large):
    """Return a stepper whose sums have a large number in between."""
    large = np.float32(large)
    return Pointwise(
        lambda u, m: ((u + 0.015 * m * u) + large) - large,
        lambda u, m: 1 + 0.015 * m,
        lambda u, m: 0.015 * u,
    )


def logistic(size):
    return Pointwise(
        lambda u, m: m * u * (1 - u),
        lambda u, m: m * (1 - 2 * u),
        lambda u, m: u * (1 - u),
        control=3.95,
        size=size,
    )


def stairs(width):
    """Return a stepper that sees its control in steps only, beside an influence that is smooth."""
    return Pointwise(
        lambda u, m: u + width * np.round(m / width) / 100 + 0.1 * m * u,
        lambda u, m: 1 + 0.1 * m,
        lambda u, m: 0.1 * u,
    )


STEPPERS = {
    "slow": (lambda: slow(1e-3), 1000),
    "slower": (lambda: slow(1e-5), 1000),
    "nearly at rest": (lambda: slow(1e-4, state=0.999), 2000),
    "slow in double precision": (lambda: slow(1e-12, dtype=np.float64), 1000),
    "many entries": (lambda: slow(1e-5, size=50), 300),
    "beside a thousand": (lambda: beside(1e3), 5),
    "beside a large number": (lambda: beside(7e4), 20),
    "chaos": (lambda: logistic(1), 20),
    "chaos in many entries": (lambda: logistic(50), 25),
    "stairs": (lambda: stairs(1e-3), 8),
}


def results(stepper, num_steps, seed):
    with adjoint.Functional(stepper, num_steps, schedule=StoreAll(num_steps)) as functional:
        yield taylor_test(functional, seed=seed)
    yield dot_product_test(stepper, min(num_steps, 10), seed=seed)


@pytest.mark.parametrize("name", list(STEPPERS))
def test_where_values_have_few_digits(name):
    make, num_steps = STEPPERS[name]
    for seed in range(2):
        for result in results(make(), num_steps, seed):
            assert result.verdict != "wrong", result


@pytest.mark.parametrize(("h", "num_steps"), [(0.1, 10), (1e-2, 100)])
def test_where_they_have_enough_a_wrong_one_is_found(h, num_steps):
    stepper = slow(h, size=50)
    assert all(result.passed for result in results(stepper, num_steps, 0))
    stepper.factor = 1.2
    assert all(result.verdict == "wrong" for result in results(stepper, num_steps, 0))


class Squared(FunctionStepper):
    """``w`` is the square of ``u`` in every state; the derivative of a step is that in ``u``."""

    factor = 1.0

    def __init__(self, dtype):
        u = np.linspace(0.5, 1, 4).astype(dtype)
        super().__init__({"u": u, "w": u**2}, {"m": np.array([0.7], dtype)})

    def new(self, state):
        return state["u"] + 0.1 * self.controls["m"] * (1 - state["w"])

    def step(self, step, state, out):
        out["u"][:] = self.new(state)
        out["w"][:] = out["u"] ** 2

    def step_vjp(self, step, state, adjoint, gradient):
        back = adjoint["u"] + 2 * self.new(state) * adjoint["w"]
        gradient["m"] += 0.1 * np.sum((1 - state["w"]) * back)
        adjoint["u"][:] = back - self.factor * 0.2 * self.controls["m"] * state["u"] * back
        adjoint["w"][:] = 0

    terminal_cost = Pointwise.terminal_cost
    terminal_cost_vjp = Pointwise.terminal_cost_vjp


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_fixed_start_of_which_one_entry_follows_from_others(dtype):
    for seed in range(3):
        taylor, dot = results(Squared(dtype), 6, seed)
        assert taylor.passed, taylor
        assert dot.verdict != "wrong", dot
        assert "may follow from others" in str(dot)
        wrong = Squared(dtype)
        wrong.factor = 1.2
        _, dot = results(wrong, 6, seed)
        assert dot.verdict == "wrong", dot


def test_half_precision_is_refused_and_so_is_what_does_not_fit():
    half = slow(0.1, dtype=np.float16)
    stepper = slow(0.1)
    with adjoint.Functional(half, 4) as functional, adjoint.Functional(stepper, 4) as right:
        for call, said in (
            (lambda: taylor_test(functional), "float16: too few digits"),
            (lambda: dot_product_test(half, 4), "float16: too few digits"),
            (lambda: dot_product_test(stepper, None), "num_steps=None"),
            (lambda: replay_test(stepper, None), "num_steps=None"),
            (lambda: dot_product_test(stepper, 4, scale={"n": 1.0}), "names 'n'"),
            (lambda: dot_product_test(stepper, 4, scale={"m": np.nan}), "not finite"),
            (lambda: taylor_test(right, {"m": np.ones(3)}), "direction of 'm'"),
            (lambda: taylor_test(right, {"m": 0.0}), "direction is zero"),
        ):
            with pytest.raises(adjoint.ArgumentError, match=said):
                call()
