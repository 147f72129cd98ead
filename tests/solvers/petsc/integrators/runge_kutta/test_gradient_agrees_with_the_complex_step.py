"""For every tableau and kind of problem, cost and gradient agree with a hand-written integrator."""

import pytest

pytest.importorskip("petsc4py")

import triads
from integrators_by_hand import runge_kutta_step
from numpy.testing import assert_allclose
from triads_by_hand import gradient_by_hand

import adjoint
from solvers.petsc import RungeKutta, tableaux


def assert_right(problem, tableau):
    triads.direct()
    result = adjoint.gradient(RungeKutta(problem, triads.SIZES, tableau), triads.NUM_STEPS)
    step = runge_kutta_step(tableau.a, tableau.b, tableau.c)
    cost, gradient = gradient_by_hand(problem, step)
    assert_allclose(result.cost, cost, rtol=1e-13)
    for name, expected in gradient.items():
        assert_allclose(result.gradient[name], expected, rtol=2e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize(
    "tableau", [*tableaux.TABLEAUX, tableaux.one_leg(0.8)], ids=lambda tableau: tableau.name
)
@pytest.mark.parametrize("make", [triads.RhsTriad, triads.LinearTriad])
def test_with_a_mass(make, tableau):
    assert_right(make(), tableau)


@pytest.mark.parametrize(
    "tableau", [tableaux.TABLEAUX[6], tableaux.TABLEAUX[-2]], ids=lambda tableau: tableau.name
)
def test_without_a_mass(tableau):
    assert_right(triads.RhsTriad(mass=False), tableau)


@pytest.mark.parametrize("make", [triads.ResidualTriad, triads.LinearResidualTriad])
@pytest.mark.parametrize(
    "tableau", [*tableaux.TABLEAUX, tableaux.one_leg(0.5)], ids=lambda tableau: tableau.name
)
def test_residual(make, tableau):
    assert_right(make(), tableau)
