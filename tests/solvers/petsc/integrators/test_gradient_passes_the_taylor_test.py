"""The Taylor test passes for every integrator and every control of every problem."""

import pytest

pytest.importorskip("petsc4py")

from plates import NUM_STEPS, SIZE, line, plate
from reactions import reaction

import adjoint
from adjoint.schedules import Revolve
from adjoint.verification import bitwise_test, dot_product_test, replay_test, taylor_test
from solvers.petsc import BDF2, BackwardEuler, CrankNicolson, RungeKutta, tableaux

PROBLEMS = {"heat": plate, "Burgers": lambda: line(num_steps=16), "Gray-Scott": reaction}
METHODS = {
    "backward Euler": BackwardEuler,
    "Crank-Nicolson": CrankNicolson,
    "BDF2": BDF2,
    "SDIRK": lambda p, h: RungeKutta(p, h, tableaux.SDIRK_2),
    "ESDIRK": lambda p, h: RungeKutta(p, h, tableaux.ESDIRK_3),
    "explicit": lambda p, h: RungeKutta(p, h / 4, tableaux.SSP_4_3),
}


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_control(problem, method):
    stepper = method(problem(), SIZE)
    end = NUM_STEPS * SIZE if problem is plate else 4 * SIZE
    num_steps = round(end / stepper.steps.size(0))
    with adjoint.Functional(stepper, num_steps, schedule=Revolve(num_steps, 2)) as functional:
        assert bitwise_test(functional).passed
        assert taylor_test(functional).passed
    assert dot_product_test(stepper, num_steps).passed
    assert replay_test(stepper, num_steps).passed
