"""Steps that PETSc adapts, rejections included, are recorded and reused bit for bit."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator

import adjoint
from adjoint.schedules import Revolve, StoreAll
from adjoint.verification import replay_test, taylor_test

END = 4.0
ADAPTIVE = {"ts_adapt_type": "basic", "ts_rtol": 1e-4, "ts_atol": 1e-4}
METHODS = ["rk 3bs", "rk 2a", "cn", "beuler"]


def problem(method: str) -> Oscillator:
    made = Oscillator(method, size=0.9, options=ADAPTIVE)
    made.ts.setMaxTime(END)
    return made


def run(method: str):
    """Return a stepper at the end of its first sweep, and how many steps it took."""
    stepper = problem(method).stepper()
    stepper.start()
    stepper.advance(0, 10**6, cost=0.0)
    assert stepper.finished
    return stepper, stepper.position


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_that_of_petsc(method):
    alone = problem(method)
    alone.ts.solve(alone.u)
    assert alone.ts.getStepRejections() > 0
    stepper, num_steps = run(method)
    assert num_steps == alone.ts.getStepNumber()
    # A step that was accepted after a rejection is taken with a size an ulp from PETSc's.
    np.testing.assert_allclose(stepper.state["u"], alone.u.array, rtol=1e-12)
    times, sizes = stepper.accepted_steps.T
    assert times[-1] + sizes[-1] == END
    assert np.ptp(sizes) > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_prescribed_steps_give_the_same_bits_under_every_schedule(method):
    first, num_steps = run(method)
    kept = first.state["u"].copy()
    stepper = problem(method).stepper()
    stepper.accept_steps(first.accepted_steps)
    assert replay_test(stepper, num_steps).passed
    results = [
        adjoint.gradient(stepper, num_steps, schedule=schedule)
        for schedule in (StoreAll(num_steps), Revolve(num_steps, 4))
    ]
    stepper.start()
    stepper.advance(0, num_steps)
    assert stepper.state["u"].tobytes() == kept.tobytes()
    assert results[0].cost == results[1].cost
    for name, array in results[0].gradient.items():
        assert results[1].gradient[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_prescribed_steps_are_accepted_with_other_controls(method):
    stepper, num_steps = run(method)
    stepper.accept_steps(stepper.accepted_steps)
    schedule = Revolve(num_steps, 6)
    with adjoint.Functional(stepper, num_steps, schedule=schedule) as functional:
        assert taylor_test(functional).passed


def test_without_prescribed_steps_every_run_adapts_its_own():
    stepper, num_steps = run("rk 3bs")
    stepper.accept_steps(stepper.accepted_steps)
    stepper.accept_steps(np.zeros((0, 2)))
    stepper.controls["initial"][:] = (0.1, 0.0)
    stepper.start()
    stepper.advance(0, 10**6)
    assert stepper.finished
    assert stepper.position != num_steps


def test_a_last_step_that_ends_at_the_maximum_time():
    stepper = Oscillator("rk 4", size=0.3, options={"ts_exact_final_time": "matchstep"})
    stepper.ts.setMaxTime(1.0)
    stepper = stepper.stepper()
    result = adjoint.gradient(stepper, 4, schedule=StoreAll(4))
    assert np.isfinite(result.gradient["initial"]).all()
    np.testing.assert_allclose(stepper.accepted_steps[:, 1], [0.3, 0.3, 0.2, 0.2], rtol=1e-12)
