"""A failing TS raises an error with PETSc's reason, the step and the time."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator, fill

import adjoint
from adjoint.errors import NonFiniteError, SolveError, StepperError
from adjoint.schedules import StoreAll

NUM_STEPS = 6
HOPELESS = {"snes_max_it": 1, "snes_rtol": 1e-14, "ts_max_snes_failures": 1}


def gradient(problem: Oscillator):
    return adjoint.gradient(problem.stepper(), NUM_STEPS, schedule=StoreAll(NUM_STEPS))


def test_newton_that_does_not_converge():
    problem = Oscillator("cn", options=HOPELESS)
    message = r"DIVERGED_NONLINEAR_SOLVE in step 0, at time 0\.0.*SNES: DIVERGED_MAX_IT"
    with pytest.raises(SolveError, match=message):
        gradient(problem)


class Singular(Oscillator):
    """Its Jacobian is singular, but only while it is reversed."""

    def residual_jacobian(self, ts, t, u, rate, shift, jacobian, preconditioner):
        super().residual_jacobian(ts, t, u, rate, shift, jacobian, preconditioner)
        if ts.getTimeStep() < 0 and ts.getStepNumber() <= 3:
            fill(preconditioner, np.zeros((2, 2)))


@pytest.mark.parametrize("method", ["beuler", "theta", "cn"])
def test_a_singular_transposed_system(method):
    message = (
        r"transposed.*TSADJOINT_DIVERGED_LINEAR_SOLVE in step 3, at time 0\.2.*KSP: DIVERGED_PC"
    )
    with pytest.raises(SolveError, match=message):
        gradient(Singular(method, implicit=True, sparse=True))


def test_a_singular_transposed_system_that_petsc_calls_an_error():
    with pytest.raises(SolveError, match=r"PETSc failed in step 3, at time 0\.2.*Zero pivot"):
        gradient(Singular("beuler", implicit=True))


def test_a_right_hand_side_that_is_not_finite():
    problem = Oscillator("rk 4")
    problem.parameters[0] = np.inf
    with pytest.raises(NonFiniteError):
        gradient(problem)


def test_an_exception_of_a_callback_is_raised_unchanged():
    class Broken(Oscillator):
        def rhs(self, ts, t, u, f):
            if t > 0.1:
                raise ZeroDivisionError("the reactor has no fuel")
            super().rhs(ts, t, u, f)

    with pytest.raises(ZeroDivisionError, match="no fuel"):
        gradient(Broken("rk 4"))


def test_a_rejection_with_fixed_steps():
    """With fixed steps no state is kept to step from again, so a rejection is an error."""

    class Moving(Oscillator):
        def rhs(self, ts, t, u, f):
            ts.setTimeStep(0.04)
            super().rhs(ts, t, u, f)

    stepper = Moving("rk 4").stepper()
    stepper.start()
    with pytest.raises(StepperError, match="rejected an attempt at step 0"):
        stepper.advance(0, 1)
