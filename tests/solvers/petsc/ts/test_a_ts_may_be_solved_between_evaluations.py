"""A TS that was solved by its user since gives the same gradient; one that was taken over does not.

By default ``TS.solve`` may replace the solution vector of the TS by another one.
"""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_oscillator import Oscillator

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import StoreAll

NUM_STEPS = 8
FINAL_TIMES = PETSc.TS.ExactFinalTime


@pytest.mark.parametrize("final_time", ["INTERPOLATE", "STEPOVER"])
@pytest.mark.parametrize("other_vector", [False, True])
@pytest.mark.parametrize("method", ["rk 4", "cn", "theta"])
def test_after_a_solve(method, other_vector, final_time):
    problem = Oscillator(method)
    stepper = problem.stepper()
    first = gradient(stepper)
    ts = problem.ts
    ts.setTime(0.0)
    ts.setStepNumber(0)
    ts.setMaxTime(0.32)
    ts.setExactFinalTime(getattr(FINAL_TIMES, final_time))
    ts.solve(problem.u.duplicate() if other_vector else problem.u)
    ts.setMaxTime(1e30)
    for name, expected in gradient(stepper).items():
        np.testing.assert_array_equal(expected, first[name], err_msg=name)


def test_after_another_stepper_was_made():
    problem = Oscillator("cn")
    stepper = problem.stepper()
    first = gradient(stepper)
    other = problem.stepper()
    with pytest.raises(StepperError, match="another stepper"):
        gradient(stepper)
    for name, expected in gradient(other).items():
        np.testing.assert_array_equal(expected, first[name], err_msg=name)
    del other
    with pytest.raises(StepperError, match="another stepper"):
        gradient(stepper)


@pytest.mark.parametrize("method", ["rk 4", "cn"])
def test_after_a_reset(method):
    problem = Oscillator(method)
    stepper = problem.stepper()
    problem.ts.reset()
    with pytest.raises(StepperError, match="was reset"):
        stepper.start()


def gradient(stepper):
    result = adjoint.gradient(stepper, NUM_STEPS, schedule=StoreAll(NUM_STEPS))
    return {name: part.copy() for name, part in result.gradient.items()}
