"""State, adjoint and accumulators are all that another stepper needs to continue, bit for bit."""

import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator

from adjoint.steppers import copy_arrays

ADAPTIVE = {"ts_adapt_type": "basic", "ts_rtol": 1e-4, "ts_atol": 1e-4}
CASES = [("rk 3bs", ADAPTIVE), ("rk 5f", ADAPTIVE), ("rk 4", {}), ("cn", {})]
KILLED, NUM_STEPS = 5, 9


def fresh(method: str, options: dict):
    problem = Oscillator(method, size=0.3, options=options)
    problem.ts.setMaxTime(5.0)
    stepper = problem.stepper(parameters=method != "rk 5f")
    stepper.start()
    return stepper


def copied(arrays):
    return {name: array.copy() for name, array in arrays.items()}


@pytest.fixture(params=CASES, ids=lambda case: case[0])
def killed(request):
    """Return a maker of steppers, and what a run through had on its way."""
    method, options = request.param
    stepper = fresh(method, options)
    states = [copied(stepper.state)]
    for k in range(NUM_STEPS):
        stepper.advance(k, k + 1)
        states.append(copied(stepper.state))
    rows = stepper.accepted_steps
    stepper.turn(0.0)
    on_the_way = {}
    for k in reversed(range(NUM_STEPS)):
        copy_arrays(states[k], stepper.state)
        stepper.restored(k)
        stepper.record(k, k + 1, reach_stop=False)
        stepper.pull_back(k, k + 1)
        on_the_way[k] = copied(stepper.adjoint), copied(stepper.accumulators)
    stepper.finish()
    return lambda: fresh(method, options), states, rows, on_the_way, copied(stepper.accumulators)


@pytest.mark.parametrize(
    "with_steps", [True, False], ids=["state and accepted steps", "state alone"]
)
def test_forward(killed, with_steps):
    make, states, rows, _, _ = killed
    stepper = make()
    copy_arrays(states[KILLED], stepper.state)
    stepper.restored(KILLED)
    if with_steps:
        stepper.accept_steps(rows[:KILLED])
    stepper.advance(KILLED, NUM_STEPS)
    for name, array in states[-1].items():
        assert stepper.state[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize(
    "with_steps", [True, False], ids=["state and accepted steps", "state alone"]
)
def test_back(killed, with_steps):
    make, states, rows, on_the_way, expected = killed
    stepper = make()
    lam, accumulators = on_the_way[KILLED]
    copy_arrays(lam, stepper.adjoint)
    copy_arrays(accumulators, stepper.accumulators)
    if with_steps:
        stepper.accept_steps(rows)
    for k in reversed(range(KILLED)):
        copy_arrays(states[k], stepper.state)
        stepper.restored(k)
        stepper.record(k, k + 1, reach_stop=False)
        stepper.pull_back(k, k + 1)
    stepper.finish()
    for name, array in expected.items():
        assert stepper.accumulators[name].tobytes() == array.tobytes(), name
