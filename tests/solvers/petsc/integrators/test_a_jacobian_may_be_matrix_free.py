"""A matrix-free Jacobian gives the gradient of the assembled one."""

import pytest

pytest.importorskip("petsc4py")

import triads
from numpy.testing import assert_allclose
from petsc4py import PETSc

import adjoint
from adjoint.errors import StepperError
from solvers.petsc import BDF2, CrankNicolson, RungeKutta, tableaux

METHODS = [CrankNicolson, BDF2, lambda p, h, **o: RungeKutta(p, h, tableaux.SDIRK_3, **o)]


@pytest.mark.parametrize("method", METHODS)
def test_gradient(method):
    triads.direct()
    options = PETSc.Options()
    for name, value in {"ksp_type": "gmres", "pc_type": "none", "ksp_rtol": 1e-14}.items():
        options[f"free_{name}"] = value
    options["free_snes_rtol"] = options["free_snes_stol"] = 1e-14
    free = method(triads.MatrixFreeTriad(), triads.SIZES, options_prefix="free_")
    assembled = method(triads.ResidualTriad(), triads.SIZES)
    found = adjoint.gradient(free, triads.NUM_STEPS)
    expected = adjoint.gradient(assembled, triads.NUM_STEPS)
    for name, array in expected.gradient.items():
        assert_allclose(found.gradient[name], array, rtol=1e-11, atol=1e-12, err_msg=name)


def test_an_explicit_stage_of_a_residual_is_refused():
    for tableau in (tableaux.RUNGE_KUTTA_4, tableaux.TR_BDF2):
        with pytest.raises(StepperError, match="matrix-free"):
            RungeKutta(triads.MatrixFreeTriad(), triads.SIZES, tableau)


def test_a_matrix_free_constant_jacobian_is_refused():
    problem = triads.MatrixFreeTriad()
    problem.constant_jacobian = True
    with pytest.raises(StepperError, match="matrix-free"):
        CrankNicolson(problem, triads.SIZES)
