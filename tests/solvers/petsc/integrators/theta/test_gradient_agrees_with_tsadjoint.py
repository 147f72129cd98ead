"""Theta methods have the cost and gradient of PETSc's `TSAdjointSolve`, to 1e-12."""

import pytest

pytest.importorskip("petsc4py")

import ts_of_problem
from numpy.testing import assert_allclose
from petsc4py import PETSc
from reactions import PARAMETERS, reaction

import adjoint
from solvers.petsc import BackwardEuler, CrankNicolson, RungeKutta, Theta, tableaux

SIZE, NUM_STEPS = 0.5, 8

METHODS = {
    "backward Euler": (lambda p: BackwardEuler(p, SIZE, options_prefix="own_"), {"type": "beuler"}),
    "Crank-Nicolson": (lambda p: CrankNicolson(p, SIZE, options_prefix="own_"), {"type": "cn"}),
    "theta with endpoint": (
        lambda p: Theta(p, SIZE, theta=0.7, options_prefix="own_"),
        {"type": "theta", "theta_theta": 0.7, "theta_endpoint": True},
    ),
    "one-leg theta": (
        lambda p: RungeKutta(p, SIZE, tableaux.one_leg(0.7), options_prefix="own_"),
        {"type": "theta", "theta_theta": 0.7},
    ),
}


@pytest.mark.parametrize(("make", "type_options"), METHODS.values(), ids=METHODS)
def test_gradient(make, type_options):
    database = PETSc.Options()
    solving = {**ts_of_problem.DIRECT, "snes_rtol": 1e-13, "snes_atol": 1e-14}
    for name, value in solving.items():
        database[f"own_{name}"] = value
    result = adjoint.gradient(make(reaction()), NUM_STEPS)
    options = {f"ts_{name}": value for name, value in type_options.items()}
    cost, initial, parameters = ts_of_problem.adjoint_solve(
        reaction(), SIZE, NUM_STEPS, options, PARAMETERS
    )
    assert_allclose(result.cost, cost, rtol=1e-12)
    assert_allclose(result.gradient["initial"].ravel(), initial, rtol=1e-12, atol=1e-14)
    for name, expected in zip(PARAMETERS, parameters, strict=True):
        assert_allclose(result.gradient[name], expected, rtol=1e-12, err_msg=name)
