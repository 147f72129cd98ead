"""For every kind of problem, cost and gradient of theta methods agree with a hand-written one."""

import pytest

pytest.importorskip("petsc4py")

import triads
from integrators_by_hand import theta_step
from numpy.testing import assert_allclose
from triads_by_hand import gradient_by_hand

import adjoint
from solvers.petsc import BackwardEuler, CrankNicolson, Theta

PROBLEMS = {
    "with a mass": triads.RhsTriad,
    "without a mass": lambda: triads.RhsTriad(mass=False),
    "linear": triads.LinearTriad,
    "residual": triads.ResidualTriad,
    "linear residual": triads.LinearResidualTriad,
}


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("theta", [1.0, 0.5, 0.7])
def test_theta(make, theta):
    triads.direct()
    problem = make()
    stepper = Theta(problem, triads.SIZES, theta=theta)
    result = adjoint.gradient(stepper, triads.NUM_STEPS)
    cost, gradient = gradient_by_hand(problem, theta_step(theta))
    assert_allclose(result.cost, cost, rtol=1e-13)
    for name, expected in gradient.items():
        assert_allclose(result.gradient[name], expected, rtol=2e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize(("kind", "theta"), [(BackwardEuler, 1.0), (CrankNicolson, 0.5)])
def test_by_name(kind, theta):
    triads.direct()
    named = adjoint.gradient(kind(triads.RhsTriad(), triads.SIZES), triads.NUM_STEPS)
    stepper = Theta(triads.RhsTriad(), triads.SIZES, theta=theta)
    assert named.cost == adjoint.gradient(stepper, triads.NUM_STEPS).cost
