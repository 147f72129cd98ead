"""A quadrature's Jacobian callback may write its second matrix, as those of PETSc's examples do."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator

import adjoint

NUM_STEPS = 11


class SecondMatrix(Oscillator):
    """Writes the second matrix, and nothing to the first."""

    def integrand_jacobian(self, ts, t, u, jacobian, preconditioner):
        super().integrand_jacobian(ts, t, u, preconditioner, preconditioner)


@pytest.mark.parametrize("method", ["rk 4", "cn"])
def test_the_gradient_has_the_same_bits(method):
    expected = adjoint.gradient(Oscillator(method, quadrature=True).stepper(), NUM_STEPS).gradient
    stepper = SecondMatrix(method, quadrature=True).stepper()
    for name, gradient in adjoint.gradient(stepper, NUM_STEPS).gradient.items():
        np.testing.assert_array_equal(gradient, expected[name])
