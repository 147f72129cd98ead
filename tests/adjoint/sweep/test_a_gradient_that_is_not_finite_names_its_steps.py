"""A gradient that is not finite, with a finite cost, is an error that names the steps."""

import re
import time

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.errors import NonFiniteError
from adjoint.schedules import Asynchronous, Revolve

NUM_STEPS = 30


class Spoiled(Pendulums):
    """Writes a value to the adjoint or a gradient in step 13, and takes 2 ms to reverse a step."""

    spoil = staticmethod(lambda adjoint, gradient: None)

    def step_vjp(self, step, state, adjoint, gradient):
        super().step_vjp(step, state, adjoint, gradient)
        time.sleep(0.002)
        if step == 13:
            self.spoil(adjoint, gradient)


def spoil(target, name, value):
    def function(adjoint, gradient):
        (adjoint if target == "adjoint" else gradient)[name][0] = value

    return function


def steps_named(error):
    found = re.search(r"steps \[(\d+), (\d+)\)", str(error))
    return range(int(found[1]), int(found[2]))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("target", [("adjoint", "v"), ("gradient", "stiffness")])
@pytest.mark.parametrize("leaf", [1, 4])
def test_the_leaf_is_named(leaf, target, value):
    stepper = Spoiled(3, NUM_STEPS)
    stepper.spoil = spoil(*target, value)
    schedule = Revolve(NUM_STEPS, 3, leaf_steps=leaf)
    with pytest.raises(NonFiniteError, match=target[0]) as raised:
        adjoint.gradient(stepper, NUM_STEPS, schedule=schedule)
    assert 13 in steps_named(raised.value)


@pytest.mark.parametrize("file", [False, True])
def test_a_row_of_a_gradient_with_a_row_per_step(file, tmp_path):
    class PerStep(Spoiled):
        per_step = ("force",)

        def step_vjp(self, step, state, adjoint, gradient):
            super().step_vjp(step, state, adjoint, gradient)
            if step == 13:
                gradient["force"][step] = np.nan

    options = {"schedule": Asynchronous(NUM_STEPS, 6, 4), "file": tmp_path} if file else {}
    with pytest.raises(NonFiniteError, match="'force'") as raised:
        adjoint.gradient(PerStep(3, NUM_STEPS), NUM_STEPS, **options)
    assert 13 in steps_named(raised.value)


@pytest.mark.parametrize(
    ("function", "place"),
    [("terminal_cost_vjp", "terminal cost"), ("initial_state_vjp", "initial state")],
)
def test_the_ends_are_named(function, place):
    stepper = Pendulums(3, NUM_STEPS)

    def spoiling(*arguments):
        arguments[-1]["angle"][:] = np.inf

    setattr(stepper, function, spoiling)
    with pytest.raises(NonFiniteError, match=f"gradient by 'angle'.*{place}"):
        adjoint.gradient(stepper, NUM_STEPS)


def test_the_next_evaluation_is_right_again():
    expected = adjoint.gradient(Pendulums(3, NUM_STEPS), NUM_STEPS).gradient
    stepper = Spoiled(3, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3)) as functional:
        stepper.spoil = spoil("adjoint", "u", np.nan)
        with pytest.raises(NonFiniteError):
            functional.value_and_gradient()
        stepper.spoil = Spoiled.spoil
        _, found = functional.value_and_gradient()
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
