"""For every kind of problem, cost and gradient of BDF2 agree with a hand-written integrator."""

import pytest

pytest.importorskip("petsc4py")

import triads
from integrators_by_hand import bdf2_step
from numpy.testing import assert_allclose
from triads_by_hand import gradient_by_hand

import adjoint
from solvers.petsc import BDF2

PROBLEMS = [
    triads.RhsTriad,
    triads.LinearTriad,
    triads.ResidualTriad,
    triads.LinearResidualTriad,
]


@pytest.mark.parametrize("make", PROBLEMS)
def test_uneven_steps(make):
    triads.direct()
    problem = make()
    result = adjoint.gradient(BDF2(problem, triads.SIZES), triads.NUM_STEPS)
    cost, gradient = gradient_by_hand(problem, bdf2_step(triads.SIZES))
    assert_allclose(result.cost, cost, rtol=1e-13)
    for name, expected in gradient.items():
        assert_allclose(result.gradient[name], expected, rtol=2e-12, atol=1e-13, err_msg=name)
