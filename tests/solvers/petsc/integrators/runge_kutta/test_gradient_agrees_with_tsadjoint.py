"""Explicit methods have the cost and gradient of PETSc's `TSAdjointSolve`, to 1e-12.

PETSc 3.18 gets the parameter gradients of some types wrong: those are compared from 3.19 on only.
"""

import pytest

pytest.importorskip("petsc4py")

import ts_of_problem
from numpy.testing import assert_allclose
from petsc4py import PETSc
from reactions import PARAMETERS, reaction

import adjoint
from solvers.petsc import RungeKutta, tableaux

SIZE, NUM_STEPS = 0.2, 8

METHODS = {
    "1fe": tableaux.EULER,
    "2a": tableaux.HEUN_2,
    "3bs": tableaux.BOGACKI_SHAMPINE_3,
    "4": tableaux.RUNGE_KUTTA_4,
    "5f": tableaux.FEHLBERG_5,
    "5dp": tableaux.DORMAND_PRINCE_5,
}
WRONG_IN_3_18 = {"5dp", "5f"}


@pytest.mark.parametrize(("name", "tableau"), METHODS.items(), ids=METHODS)
def test_gradient(name, tableau):
    wrong = name in WRONG_IN_3_18 and PETSc.Sys.getVersion() < (3, 19)
    parameters = () if wrong else PARAMETERS
    options = {"ts_type": "rk", "ts_rk_type": name}
    cost, initial, found = ts_of_problem.adjoint_solve(
        reaction(), SIZE, NUM_STEPS, options, parameters
    )
    result = adjoint.gradient(RungeKutta(reaction(), SIZE, tableau), NUM_STEPS)
    assert_allclose(result.cost, cost, rtol=1e-12)
    assert_allclose(result.gradient["initial"].ravel(), initial, rtol=1e-12, atol=1e-14)
    for control, expected in zip(parameters, [] if wrong else found, strict=True):
        assert_allclose(result.gradient[control], expected, rtol=1e-12, err_msg=control)
