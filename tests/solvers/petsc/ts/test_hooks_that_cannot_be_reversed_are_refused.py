"""A function around steps or stages that does what PETSc does not differentiate is refused.

Python hooks are set by petsc4py. Those in C are set through PETSc's C interface, as compiled code
does it: nothing then shows that they are there.
"""

import ctypes

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_oscillator import PARAMETERS, Oscillator

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Revolve, StoreAll

NUM_STEPS = 12
METHODS = ["rk 3bs", "rk 4", "cn", "beuler", "theta"]

LIBRARY = ctypes.CDLL(PETSc.__file__)
POINTER, REAL = ctypes.c_void_p, ctypes.c_double
INTEGER = np.ctypeslib.as_ctypes_type(PETSc.IntType)
HOOKS = {
    "TSSetPreStep": ("pre-step function", (POINTER,)),
    "TSSetPostEvaluate": ("post-evaluate function", (POINTER,)),
    "TSSetPostStep": ("post-step function", (POINTER,)),
    "TSSetPreStage": ("function around stages", (POINTER, REAL)),
    "TSSetPostStage": ("function around stages", (POINTER, REAL, INTEGER, ctypes.POINTER(POINTER))),
}


def gradient(stepper, schedule=None):
    return adjoint.gradient(stepper, NUM_STEPS, schedule=schedule or StoreAll(NUM_STEPS)).gradient


# -- in Python ------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["pre-step", "post-step"])
def test_a_change_of_the_solution(which):
    problem = Oscillator("rk 4")
    set_hook = problem.ts.setPreStep if which == "pre-step" else problem.ts.setPostStep
    set_hook(lambda ts: ts.getSolution().scale(0.99 if ts.getStepNumber() >= 3 else 1))
    with pytest.raises(StepperError, match=rf"{which} function changed the solution at step 3"):
        gradient(problem.stepper())


@pytest.mark.parametrize("quadrature", [False, True])
@pytest.mark.parametrize(
    ("method", "implicit"),
    [*((method, False) for method in METHODS), *((method, True) for method in METHODS[2:])],
)
def test_a_post_step_function_that_changes_the_equation(method, implicit, quadrature):
    problem = Oscillator(method, implicit=implicit, quadrature=quadrature)

    def pulse(ts):
        problem.parameters[1] = PARAMETERS[1] * (2 if ts.getStepNumber() == 5 else 1)

    problem.ts.setPostStep(pulse)
    with pytest.raises(StepperError, match=r"post-step function changed the equation at step 5"):
        gradient(problem.stepper(parameters=False))


@pytest.mark.parametrize("schedule", [StoreAll(NUM_STEPS), Revolve(NUM_STEPS, 2)])
@pytest.mark.parametrize("method", METHODS)
def test_a_pre_step_function_that_depends_on_the_solution(method, schedule):
    problem = Oscillator(method)

    def lag(ts):
        problem.parameters[0] = 1 + ts.getSolution().getArray(readonly=True)[0] ** 2

    problem.ts.setPreStep(lag)
    with pytest.raises(StepperError, match=r"with another solution.*set another equation"):
        gradient(problem.stepper(parameters=False), schedule)


def test_a_pre_step_function_that_depends_on_earlier_calls():
    problem, calls = Oscillator("cn"), []

    def gust(ts):
        calls.append(1)
        problem.parameters[1] = len(calls)

    problem.ts.setPreStep(gust)
    with pytest.raises(StepperError, match=r"called again.*set another equation"):
        gradient(problem.stepper(parameters=False))


def test_an_error_in_a_hook_is_raised_as_it_is():
    problem = Oscillator("rk 4")

    def fail(ts):
        raise LookupError("not in the table")

    problem.ts.setPostStep(fail)
    with pytest.raises(LookupError, match="not in the table"):
        gradient(problem.stepper())


# -- in C -----------------------------------------------------------------------------------------


def in_c(problem, setter: str, act) -> list:
    """Set a hook through the C interface; return where the functions must be kept."""
    hook = ctypes.CFUNCTYPE(ctypes.c_int, *HOOKS[setter][1])(act)
    assert getattr(LIBRARY, setter)(POINTER(problem.ts.handle), hook) == 0
    return [hook]


def solution(ts) -> POINTER:
    vector = POINTER()
    assert LIBRARY.TSGetSolution(POINTER(ts), ctypes.byref(vector)) == 0
    return vector


@pytest.mark.parametrize("setter", HOOKS)
@pytest.mark.parametrize("method", METHODS)
def test_a_change_in_c(method, setter):
    problem = Oscillator(method)

    def damp(ts, *arguments):
        vector = POINTER(arguments[2][arguments[1]]) if len(arguments) == 3 else solution(ts)
        return LIBRARY.VecScale(vector, REAL(0.99))

    kept = in_c(problem, setter, damp)
    with pytest.raises(StepperError, match=rf"the {HOOKS[setter][0]} changed (a stage|the sol)"):
        gradient(problem.stepper())
    del kept


@pytest.mark.parametrize("quadrature", [False, True])
@pytest.mark.parametrize("setter", HOOKS)
@pytest.mark.parametrize("method", METHODS)
def test_an_observer_in_c(method, setter, quadrature):
    expected = gradient(Oscillator(method, quadrature=quadrature).stepper())
    problem, norms = Oscillator(method, quadrature=quadrature), []

    def observe(ts, *arguments):
        norm = REAL()
        norms.append(norm)
        return LIBRARY.VecNorm(solution(ts), 1, ctypes.byref(norm))

    kept = in_c(problem, setter, observe)
    found = gradient(problem.stepper())
    del kept
    assert len(norms) >= NUM_STEPS
    for name, of_control in expected.items():
        assert found[name].tobytes() == of_control.tobytes()
