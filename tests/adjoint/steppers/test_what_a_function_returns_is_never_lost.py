"""A function that returns what it must write is refused; a cost is one real number."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Revolve

NUM_STEPS = 9

ARGUMENTS = {
    "initial_state": "out",
    "initial_state_vjp": "gradient",
    "step": "out",
    "step_vjp": "adjoint",
    "step_cost_vjp": "adjoint",
    "terminal_cost_vjp": "adjoint",
}


def evaluated(stepper):
    return adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))


@pytest.mark.parametrize("function", ARGUMENTS)
def test_a_returned_value(function):
    stepper = Pendulums(2, NUM_STEPS)
    original = getattr(stepper, function)

    def returning(*arguments):
        original(*arguments)
        return {"u": np.zeros(2)}

    setattr(stepper, function, returning)
    given = ARGUMENTS[function]
    returned = rf"^{function}\(\) returned its result \(dict\)"
    both = rf'{returned}.*{given}\["name"\]\[:\] = new or {given}\["name"\] ='
    with pytest.raises(StepperError, match=both):
        evaluated(stepper)


@pytest.mark.parametrize(
    "value", [None, 1j, np.complex64(1), np.zeros(2), np.ma.masked, "much"], ids=repr
)
@pytest.mark.parametrize("function", ["step_cost", "terminal_cost"])
def test_a_cost_that_is_not_one_real_number(function, value):
    stepper = Pendulums(2, NUM_STEPS)
    setattr(stepper, function, lambda *_: value)
    with pytest.raises(StepperError, match=rf"{function}\(\) returned .*one real number"):
        evaluated(stepper)
    with adjoint.Functional(stepper, NUM_STEPS) as functional, pytest.raises(StepperError):
        functional.value()


@pytest.mark.parametrize("method", ["advance", "turn"])
def test_a_complex_cost_of_a_stepper_of_its_own(method):
    stepper = CopiedPendulums(2, NUM_STEPS)
    original = getattr(stepper, method)

    def complex_cost(*arguments, **options):
        total = original(*arguments, **options)
        return None if total is None else complex(total, 1)

    setattr(stepper, method, complex_cost)
    with pytest.raises(StepperError, match="one real number"):
        evaluated(stepper)


@pytest.mark.parametrize("make", [np.float64, np.float32, lambda x: np.array([x]), int])
def test_a_cost_may_be_any_real_number(make):
    stepper = Pendulums(2, NUM_STEPS)
    stepper.terminal_cost = lambda state: make(3)
    cost = evaluated(stepper).cost
    stepper.terminal_cost = lambda state: 3.0
    assert type(cost) is float
    assert cost == evaluated(stepper).cost
