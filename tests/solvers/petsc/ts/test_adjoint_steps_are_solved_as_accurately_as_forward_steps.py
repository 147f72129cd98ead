"""With PETSc's loose default for linear solves, the gradient is as accurate as the states."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_reaction import reaction

import adjoint

NUM_STEPS = 6


@pytest.mark.parametrize("method", ["cn", "beuler"])
def test_its_error_is_that_of_newtons_method(method):
    exact = adjoint.gradient(reaction(method, None), NUM_STEPS).gradient
    stepper = reaction(method, None, ksp_rtol=1e-3, snes_rtol=1e-10)
    found = adjoint.gradient(stepper, NUM_STEPS).gradient
    for name, gradient in found.items():
        error = np.abs(gradient - exact[name]).max() / np.abs(exact[name]).max()
        assert error < 1e-8, name
