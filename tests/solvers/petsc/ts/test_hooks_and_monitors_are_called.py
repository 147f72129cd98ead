"""Pre-step and post-step functions are called as in `TSSolve`, and when steps are taken again."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import PARAMETERS, Oscillator

import adjoint
from adjoint.schedules import Revolve, StoreAll
from adjoint.verification import replay_test, taylor_test

NUM_STEPS = 12


def gusty(method: str, *, quadrature: bool) -> Oscillator:
    """Return an oscillator whose right-hand side changes from step to step, by a hook."""
    problem = Oscillator(method, quadrature=quadrature)
    b = PARAMETERS[1]

    def gust(ts, strength):
        problem.parameters[1] = b * (1 + strength * np.cos(2.0 * ts.getStepNumber()))

    problem.ts.setPreStep(gust, (0.3,))
    return problem


@pytest.mark.parametrize("quadrature", [False, True])
@pytest.mark.parametrize("method", ["rk 3bs", "rk 4", "cn", "beuler"])
def test_a_hook_that_changes_the_equation(method, quadrature):
    problem = gusty(method, quadrature=quadrature)
    problem.ts.setMaxSteps(NUM_STEPS)
    problem.ts.solve(problem.u)
    stepper = gusty(method, quadrature=quadrature).stepper(parameters=False)
    stepper.start()
    stepper.advance(0, NUM_STEPS, cost=0.0)
    if method != "rk 3bs":  # PETSc carries over a derivative that is not that of this step
        assert stepper.state["u"].tobytes() == problem.u.array.tobytes()
    assert replay_test(stepper, NUM_STEPS).passed
    for schedule in (StoreAll(NUM_STEPS), Revolve(NUM_STEPS, 2)):
        with adjoint.Functional(stepper, NUM_STEPS, schedule=schedule) as functional:
            assert taylor_test(functional).passed


@pytest.mark.parametrize("quadrature", [False, True])
def test_calls_of_a_first_sweep_are_those_of_petsc(quadrature):
    calls = []
    for way in ("alone", "stepper"):
        problem, called = Oscillator("rk 4", quadrature=quadrature), []
        calls.append(called)
        problem.ts.setPreStep(
            lambda ts, called=called: called.append(("before", ts.getStepNumber()))
        )
        problem.ts.setPostStep(lambda ts, called=called: called.append(("after", ts.getTime())))
        if way == "alone":
            problem.ts.setMaxSteps(5)
            problem.ts.solve(problem.u)
        else:
            stepper = problem.stepper()
            stepper.start()
            stepper.advance(0, 5, cost=0.0)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("quadrature", [False, True])
def test_monitors_are_called_once_a_step_and_not_again(quadrature):
    calls = []
    for way in ("alone", "stepper"):
        problem, called = Oscillator("rk 4", quadrature=quadrature), []
        calls.append(called)
        problem.ts.setMonitor(lambda ts, k, t, u, called=called: called.append((k, t, u.norm())))
        if way == "alone":
            problem.ts.setMaxSteps(NUM_STEPS)
            problem.ts.solve(problem.u)
        else:
            adjoint.gradient(problem.stepper(), NUM_STEPS, schedule=Revolve(NUM_STEPS, 2))
    assert calls[0] == calls[1]


def test_a_hook_may_look_at_the_solution():
    problem = Oscillator("rk 4")
    seen = []
    problem.ts.setPostStep(lambda ts: seen.append(ts.getSolution().array.copy()))
    adjoint.gradient(problem.stepper(), NUM_STEPS, schedule=StoreAll(NUM_STEPS))
    assert len(seen) >= NUM_STEPS
