"""States and controls without a derivative are refused; numbers and lists are taken as arrays."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.errors import ArgumentError, StepperError
from adjoint.schedules import Revolve

NUM_STEPS = 8
MASKED = np.ma.masked_values([1.0, -999.0], -999.0)


class Relaxing(adjoint.FunctionStepper):
    """``u' = u/3 + m``, J = sum of u: dJ/dm = (1 + 1/3 + 1/9 + …) for each cell."""

    def step(self, k, state, out):
        out["u"][:] = state["u"] / 3 + self.controls["m"]

    def step_vjp(self, k, state, adjoint, gradient):
        gradient["m"] += adjoint["u"].sum() if gradient["m"].shape == () else adjoint["u"]
        adjoint["u"] /= 3

    def terminal_cost(self, state):
        return state["u"].real.sum()

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 1


RIGHT = sum(3.0**-k for k in range(NUM_STEPS))


def gradient(state, control, **options):
    stepper = Relaxing({"u": state}, {"m": control}, **options)
    return adjoint.gradient(stepper, NUM_STEPS).gradient["m"]


@pytest.mark.parametrize("value", [np.arange(2), [1, 2], np.array([True, False]), ["a", "b"]])
def test_what_has_no_derivative(value):
    with pytest.raises(StepperError, match="state 'u' has dtype"):
        gradient(value, np.zeros(2))
    with pytest.raises(StepperError, match="control 'm' has dtype"):
        gradient(np.zeros(2), value)


def test_integers_without_an_adjoint_are_taken():
    assert Pendulums(2, NUM_STEPS).state["count"].dtype == np.int64
    adjoint.gradient(Pendulums(2, NUM_STEPS), NUM_STEPS)


def test_an_accumulator_of_integers():
    with pytest.raises(StepperError, match="accumulator 'm' has dtype"):
        gradient(np.zeros(2), np.zeros(2), accumulators={"m": np.zeros(2, int)})


def test_masked_arrays():
    with pytest.raises(StepperError, match="state 'u' cannot be a masked array"):
        gradient(MASKED, np.zeros(2))
    with pytest.raises(StepperError, match="control 'm' cannot be a masked array"):
        gradient(np.zeros(2), MASKED)
    stepper = CopiedPendulums(2, NUM_STEPS)
    stepper._inner._controls["angle"] = MASKED
    with pytest.raises(StepperError, match="masked"):
        adjoint.gradient(stepper, NUM_STEPS)


@pytest.mark.parametrize("control", [0.5, np.float64(0.5), np.float32(0.5), [0.5, 0.5], (0.5, 1.0)])
def test_numbers_and_lists(control):
    expected = RIGHT if np.ndim(control) else 2 * RIGHT
    np.testing.assert_allclose(gradient([1.0, 2.0], control), expected, rtol=1e-6)


def test_complex_states_and_controls():
    np.testing.assert_allclose(gradient(np.ones(2, complex), np.zeros(2, complex)), RIGHT)


@pytest.mark.parametrize("given", ["state", "controls"])
def test_arrays_without_names(given):
    arguments = {"state": {"u": np.zeros(2)}, "controls": {"m": np.zeros(2)}}
    with pytest.raises(StepperError, match=f"{given} must be a mapping"):
        Relaxing(**arguments | {given: np.zeros(2)})


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (np.zeros(2), r"by name"),
        ({"m": MASKED}, "masked"),
        ({"m": [1.0, 2.0, 3.0]}, r"\(3,\)"),
        ({"m": [1j, 0]}, "complex"),
    ],
)
def test_values_that_do_not_fit(given, match):
    stepper = Relaxing({"u": np.zeros(2)}, {"m": np.zeros(2)})
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        for call in (functional.value, functional.value_and_gradient):
            with pytest.raises(ArgumentError, match=match):
                call(given)
        assert functional.value({"m": [1, 2]}) == functional.value({"m": np.array([1.0, 2.0])})


def test_a_read_only_control_is_differentiated_but_not_written():
    control = np.ones(2)
    control.flags.writeable = False
    stepper = Relaxing({"u": np.zeros(2)}, {"m": control})
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        np.testing.assert_allclose(functional.value_and_gradient()[1]["m"], RIGHT)
        with pytest.raises(ArgumentError, match="'m' is read-only"):
            functional.value({"m": np.zeros(2)})


@pytest.mark.parametrize("number", [np.int64(8), np.uint16(8), np.array(8)])
def test_integers_of_numpy_are_integers(number):
    stepper = Relaxing({"u": np.zeros(2)}, {"m": np.zeros(2)})
    with adjoint.Functional(stepper, number, memory=np.int32(10**6)) as functional:
        np.testing.assert_allclose(functional.value_and_gradient()[1]["m"], RIGHT)
        assert type(functional.num_steps) is int
    for options in ({"memory": 1e6}, {"memory": np.float64(1e6)}):
        with pytest.raises(ArgumentError, match="integer"):
            adjoint.gradient(stepper, 8, **options)


class Drifting(Relaxing):
    """Changes a control, once, in the function that is named."""

    where = ""

    def step(self, k, state, out):
        super().step(k, state, out)
        if self.where == "step":
            self.controls["m"] *= 1.001

    def step_vjp(self, k, state, adjoint, gradient):
        super().step_vjp(k, state, adjoint, gradient)
        if self.where == "step_vjp":
            self.controls["m"][0] += 1


def test_controls_that_the_stepper_changes():
    stepper = Drifting({"u": np.zeros(2)}, {"m": np.ones(2), "other": np.ones(2)})
    with adjoint.Functional(stepper, 8, schedule=Revolve(8, 2)) as functional:
        functional.value_and_gradient()
        for stepper.where in ("step", "step_vjp"):
            with pytest.raises(StepperError, match=r"changed its controls \['m'\]"):
                functional.value_and_gradient()
        stepper.where = "step"
        with pytest.raises(StepperError, match=r"changed its controls \['m'\]"):
            functional.value()
        stepper.where = ""
        functional.value_and_gradient({"m": np.zeros(2)})
