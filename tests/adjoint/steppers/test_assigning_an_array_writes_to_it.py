"""A function may write to an array or assign one to its name: the gradient has the same bits."""

import copy

import numpy as np
import pytest

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Asynchronous, Revolve, StoreAll

NUM_STEPS = 23
OPTIONS = {
    "planned": {},
    "kept": {"schedule": StoreAll(NUM_STEPS)},
    "Revolve": {"schedule": Revolve(NUM_STEPS, 3)},
    "leaves of 4": {"schedule": Revolve(NUM_STEPS, 2, leaf_steps=4)},
    "file": {"schedule": Asynchronous(NUM_STEPS, 5, 3), "file": True},
}


class Written(adjoint.FunctionStepper):
    """``p' = p + h q; q' = q - h m sin p``, J = p.p/2 + sum of h q.q; p starts at a control."""

    def __init__(self):
        zeros = np.zeros(4)
        controls = {"m": np.array(1.3), "start": np.linspace(0.3, 1.1, 4)}
        super().__init__({"p": zeros, "q": zeros}, controls)

    def initial_state(self, out):
        out["p"][:] = self.controls["start"]
        out["p"][0] = 0
        out["q"][:] = 0

    def initial_state_vjp(self, adjoint, gradient):
        gradient["start"][1:] += adjoint["p"][1:]

    def step(self, k, state, out):
        out["p"][:] = state["p"] + 0.1 * state["q"]
        out["q"][:] = state["q"] - 0.1 * self.controls["m"] * np.sin(state["p"])

    def step_vjp(self, k, state, adjoint, gradient):
        p, q = adjoint["p"].copy(), adjoint["q"].copy()
        adjoint["p"][:] = p - 0.1 * self.controls["m"] * np.cos(state["p"]) * q
        adjoint["q"][:] = q + 0.1 * p
        gradient["m"][...] = gradient["m"] - 0.1 * (np.sin(state["p"]) @ q)

    def step_cost(self, k, state):
        return 0.1 * state["q"] @ state["q"]

    def step_cost_vjp(self, k, state, adjoint, gradient):
        adjoint["q"][:] = adjoint["q"] + 0.2 * state["q"]

    def terminal_cost(self, state):
        return 0.5 * state["p"] @ state["p"]

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["p"][:] = state["p"]


class Assigned(Written):
    """The same, every array assigned, and read again afterwards by the name that it had before."""

    def initial_state(self, out):
        out["p"] = self.controls["start"]
        out["p"][0] = 0
        out["q"] = 0

    def step(self, k, state, out):
        out["q"] = state["p"]
        out["p"] = state["q"]
        out["p"], out["q"] = out["q"], out["p"]
        out["p"] += 0.1 * state["q"]
        out.update(q=list(state["q"] - 0.1 * self.controls["m"] * np.sin(state["p"])))

    def step_vjp(self, k, state, adjoint, gradient):
        p, q = adjoint["p"], adjoint["q"]
        adjoint["p"] = p - 0.1 * self.controls["m"] * np.cos(state["p"]) * q
        adjoint["q"] = q + 0.1 * p
        gradient["m"] = gradient["m"] - 0.1 * (np.sin(state["p"]) @ q)

    def step_cost_vjp(self, k, state, adjoint, gradient):
        adjoint |= {"q": adjoint["q"] + 0.2 * state["q"]}

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["p"] = state["p"]


def found(stepper, folder, options):
    """The cost and the bits of the gradient, of two evaluations."""
    options = options | ({"file": folder / "run.h5"} if "file" in options else {})
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        results = [functional.value_and_gradient() for _ in range(2)]
    return [(cost, {k: v.tobytes() for k, v in by.items()}) for cost, by in results]


@pytest.fixture
def expected(tmp_path):
    first, second = found(Written(), tmp_path, {"schedule": StoreAll(NUM_STEPS)})
    assert first == second
    return first


def test_the_reference_is_the_complex_step(expected):
    def cost(m):
        p, q = Written().controls["start"] + 0j, np.zeros(4) + 0j
        p[0] = total = 0
        for _ in range(NUM_STEPS):
            total += 0.1 * q @ q
            p, q = p + 0.1 * q, q - 0.1 * m * np.sin(p)
        return total + 0.5 * p @ p

    derivative = cost(1.3 + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(np.frombuffer(expected[1]["m"])[0], derivative, rtol=1e-12)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_assigned_arrays_give_the_same_bits(options, expected, tmp_path):
    stepper = Assigned()
    assert found(stepper, tmp_path, options) == [expected, expected]
    assert stepper.controls["start"][0] == 0.3, "the control that was assigned is untouched"


def test_a_copy_of_a_stepper_works_like_it(expected, tmp_path):
    assert found(copy.deepcopy(Assigned()), tmp_path, {})[1] == expected


def refused(match, **functions):
    """Evaluate with other functions than `Written` has; the error is a sentence."""
    stepper = type("Other", (Written,), functions)()
    with pytest.raises(StepperError, match=match):
        adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))
    return stepper


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.zeros(5), r"\(4,\).*\(5,\)"),
        (np.zeros((1, 4)), r"\(1, 4\)"),
        (np.ma.masked_less(np.zeros(4), 1), "masked"),
    ],
)
def test_a_value_that_does_not_fit(value, match):
    def step(self, k, state, out):
        out["q"] = value

    refused(match, step=step)


def test_a_name_that_there_is_not():
    def step(self, k, state, out):
        out["r"] = state["p"]

    refused(r"'r'.*'p', 'q'", step=step)


@pytest.mark.parametrize("how", ["del", "pop", "clear"])
def test_arrays_are_not_removed(how):
    def step_vjp(self, k, state, adjoint, gradient):
        if how == "del":
            del adjoint["p"]
        else:
            getattr(adjoint, how)(*["p"][: how == "pop"])

    refused("'p', 'q'", step_vjp=step_vjp)


def test_an_array_read_before_another_was_assigned_cannot_be_written():
    def step(self, k, state, out):
        p = out["p"]
        out["p"] = state["p"]
        p[0] = 0  # would be lost

    stepper = refused(r"step\(\).*p\[0\] = 0", step=step)
    type(stepper).step = Written.step
    adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))


def test_float32_is_kept_and_an_array_of_another_dtype_cast():
    class Halving(adjoint.FunctionStepper):
        def step(self, k, state, out):
            out["u"] = state["u"].astype(float) / 3

        def step_vjp(self, k, state, adjoint, gradient):
            gradient["m"] = gradient["m"].astype(float) + adjoint["u"]
            adjoint["u"] = adjoint["u"].astype(float) / 3

        def terminal_cost(self, state):
            return state["u"].sum()

        def terminal_cost_vjp(self, state, adjoint, gradient):
            adjoint["u"] = 1

    stepper = Halving({"u": np.ones(2, np.float32)}, {"m": np.ones(2, np.float32)})
    result = adjoint.gradient(stepper, 5)
    assert stepper.state["u"].dtype == result.gradient["m"].dtype == np.float32
    np.testing.assert_allclose(result.gradient["m"], sum(3.0**-k for k in range(5)), rtol=1e-6)
