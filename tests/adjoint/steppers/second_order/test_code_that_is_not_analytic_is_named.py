"""What cannot be done with complex numbers is an error that names hook, step and line."""

import math

import numpy as np
import pytest
from seven_cells import NUM_STEPS, AnalyticCells, controls, directions

import adjoint
from adjoint.errors import StepperError


class WithScratch(AnalyticCells):
    """Computes in memory of real numbers."""

    def step(self, step, state, out):
        super().step(step, state, out)
        work = np.zeros(7)
        if step == 4:
            work[:] = state["u"]  # here


class WithMath(AnalyticCells):
    def step_vjp(self, step, state, adjoint, gradient):
        super().step_vjp(step, state, adjoint, gradient)
        if step == 4:
            adjoint["u"] *= math.exp(state["u"][0]) > 0  # here


class WithFloat(AnalyticCells):
    def step_cost_vjp(self, step, state, adjoint, gradient):
        super().step_cost_vjp(step, state, adjoint, gradient)
        if step == 4:
            adjoint["u"] *= float(state["u"][0]) ** 0  # here


class WithOut(AnalyticCells):
    def step(self, step, state, out):
        super().step(step, state, out)
        if step == 4:
            np.multiply(state["u"], 2, out=np.zeros(7))  # here


class WithRealFft(AnalyticCells):
    def step(self, step, state, out):
        super().step(step, state, out)
        if step == 4:
            np.fft.rfft(state["u"])  # here


@pytest.mark.parametrize(
    ("stepper", "hook"),
    [
        (WithScratch, "step"),
        (WithMath, "step_vjp"),
        (WithFloat, "step_cost_vjp"),
        (WithOut, "step"),
        (WithRealFft, "step"),
    ],
)
def test_refusal(stepper, hook):
    with adjoint.Functional(stepper(), NUM_STEPS, memory="1 kB") as functional:
        with pytest.raises(StepperError) as refused:
            functional.hessian_product({"a": directions(1)["a"][0]})
        said = str(refused.value)
        assert said.startswith(f"{hook}() of step 4 of {stepper.__name__} cannot be computed")
        assert "# here" in said
        functional.value_and_gradient()


class ComplexState(AnalyticCells):
    per_step = ()

    def __init__(self):
        adjoint.FunctionStepper.__init__(
            self, {"u": np.zeros(7, complex)}, {"a": np.zeros(7), "b": np.zeros(7)}
        )


def test_states_of_complex_numbers_take_functions_by_hand():
    functional = adjoint.Functional(ComplexState(), NUM_STEPS)
    with functional, pytest.raises(StepperError, match="state 'u' has dtype complex128: write"):
        functional.hessian_product({"a": np.ones(7)})


class OnDisk(np.ndarray):
    """As a memory map is."""


def test_a_control_on_disk_takes_functions_by_hand():
    rows = np.zeros((NUM_STEPS, 1)).view(OnDisk)
    stepper = AnalyticCells({**controls(), "f": rows})
    functional = adjoint.Functional(stepper, NUM_STEPS)
    with functional, pytest.raises(StepperError, match="control 'f' is not held in memory"):
        functional.hessian_product({"a": np.ones(7)})


class OwnAdvance(AnalyticCells):
    def advance(self, start, stop, **options):
        return super().advance(start, stop, **options)


def test_a_protocol_of_its_own_is_refused():
    functional = adjoint.Functional(OwnAdvance(), NUM_STEPS)
    with functional, pytest.raises(StepperError, match=r"has a advance.. of its own"):
        functional.hessian_product({"a": np.ones(7)})
