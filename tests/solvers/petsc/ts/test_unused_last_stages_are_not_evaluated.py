"""A slope that only the next step uses is not evaluated when no other step follows in a leaf."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator
from stepper_by_hand import copied, put

import adjoint
from adjoint.schedules import StoreAll
from solvers.petsc.ts import last_stage
from solvers.petsc.ts.last_stage import FIRST_SAME_AS_LAST

NUM_STEPS = 9


def evaluated(method):
    """Return the gradient of a run, and how often the right-hand side was evaluated for it."""
    oscillator = Oscillator(f"rk {method}")
    vector, (function, args, keywords) = oscillator.ts.getRHSFunction()
    count = []

    def counting(*given, **named):
        count.append(1)
        function(*given, **named)

    oscillator.ts.setRHSFunction(counting, vector, args, keywords)
    stepper = oscillator.stepper(parameters=False)
    stepper.start()
    states = [copied(stepper.state)]
    for k in range(NUM_STEPS):
        stepper.advance(k, k + 1)
        states.append(copied(stepper.state))
    stepper.turn(0.0)
    for k in reversed(range(NUM_STEPS)):
        put(stepper, states[k], k)
        stepper.record(k, k + 1, reach_stop=False)
        stepper.pull_back(k, k + 1)
    stepper.finish()
    return stepper.accumulators, len(count)


@pytest.mark.parametrize("method", FIRST_SAME_AS_LAST)
def test_one_evaluation_less_a_step(method, monkeypatch):
    gradient, count = evaluated(method)
    monkeypatch.setattr(last_stage, "FIRST_SAME_AS_LAST", {})
    expected, count_of_all = evaluated(method)
    assert count_of_all - count == NUM_STEPS
    for name, array in expected.items():
        np.testing.assert_array_equal(gradient[name], array)


@pytest.mark.parametrize("method", ["4", "8vr"])
def test_other_methods_keep_their_function(method):
    oscillator = Oscillator(f"rk {method}")
    _, (function, _, _) = oscillator.ts.getRHSFunction()
    oscillator.stepper(parameters=False)
    assert oscillator.ts.getRHSFunction()[1][0] == function


def test_a_second_stepper_takes_the_place_of_the_first():
    oscillator = Oscillator("rk 3bs")
    _, (function, _, _) = oscillator.ts.getRHSFunction()
    for _ in range(2):
        stepper = oscillator.stepper(parameters=False)
        wrapped = oscillator.ts.getRHSFunction()[1][0]
        assert wrapped.function == function
        adjoint.gradient(stepper, NUM_STEPS, schedule=StoreAll(NUM_STEPS))
