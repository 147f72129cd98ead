"""Reversed step by step, a TS has the gradient of `TSAdjointSolve` with all states in memory."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_adjoint_solve import petsc_gradient
from petsc_oscillator import Oscillator

import adjoint
from adjoint.schedules import Revolve

NUM_STEPS = 13
WEIGHTED = ["rk 1fe", "rk 2a", "rk 3", "rk 3bs", "rk 4"]
WEIGHTLESS = ["rk 2b", "rk 5f", "rk 5dp", "rk 5bs", "rk 6vr", "rk 7vr", "rk 8vr"]
ENDPOINT = {"ts_theta_theta": 0.7, "ts_theta_endpoint": True}
IMPLICIT = [("cn", {}), ("beuler", {}), ("theta", {}), ("theta", ENDPOINT)]


def found(method: str, *, parameters: bool = True, **options) -> np.ndarray:
    stepper = Oscillator(method, **options).stepper(parameters=parameters)
    result = adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))
    return np.concatenate(list(result.gradient.values()))


@pytest.mark.parametrize("quadrature", [False, True])
@pytest.mark.parametrize("method", WEIGHTED)
def test_explicit(method, quadrature):
    expected = petsc_gradient(method, NUM_STEPS, quadrature=quadrature)
    gradient = found(method, quadrature=quadrature)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


@pytest.mark.parametrize("implicit", [False, True], ids=["rhs", "residual"])
@pytest.mark.parametrize("quadrature", [False, True])
@pytest.mark.parametrize(("method", "options"), IMPLICIT)
def test_implicit(method, options, quadrature, implicit):
    given = {"quadrature": quadrature, "implicit": implicit, "options": options}
    expected = petsc_gradient(method, NUM_STEPS, **given)
    np.testing.assert_allclose(found(method, **given), expected, rtol=1e-12)


@pytest.mark.parametrize("method", WEIGHTLESS)
def test_with_stages_of_weight_zero_where_only_the_start_is_a_control(method):
    expected = petsc_gradient(method, NUM_STEPS)[:2]
    np.testing.assert_allclose(found(method, parameters=False), expected, rtol=1e-12)
