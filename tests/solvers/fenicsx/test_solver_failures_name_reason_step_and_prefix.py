"""A solver that fails ends the run with PETSc's word for it, the step and the prefix of options."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import form_problems
from form_problems import NUM_STEPS
from petsc4py import PETSc

import adjoint
from adjoint.errors import NonFiniteError, SolveError


@pytest.fixture
def options():
    """Sets options of PETSc."""
    database, given = PETSc.Options(), []

    def put(**values):
        for name, value in values.items():
            database[name] = value
            given.append(name)

    yield put
    for name in given:
        database.delValue(name)


def test_newton(options):
    options(test_snes_max_it=1)
    with pytest.raises(SolveError, match=r"DIVERGED_MAX_IT.*\(step 0\).*-test_snes_monitor"):
        adjoint.gradient(form_problems.p_laplacian(options_prefix="test_"), NUM_STEPS)


def test_linear_solver(options):
    options(test_ksp_type="gmres", test_pc_type="none", test_ksp_max_it=2)
    with pytest.raises(SolveError, match=r"the solve: KSP DIVERGED.*step 0.*-test_ksp_monitor"):
        adjoint.gradient(form_problems.heat(options_prefix="test_"), NUM_STEPS)


def test_initial_equation(options):
    options(test_initial_ksp_type="cg", test_initial_pc_type="none", test_initial_ksp_max_it=1)
    with pytest.raises(SolveError, match=r"the initial state.*-test_initial_ksp_monitor"):
        adjoint.gradient(form_problems.semi_implicit(options_prefix="test_"), NUM_STEPS)


@pytest.mark.parametrize("problem", ["heat", "p_laplacian"])
def test_values_that_are_not_finite(problem):
    stepper = getattr(form_problems, problem)()
    next(iter(stepper.controls.values()))[0] = np.nan
    with pytest.raises((NonFiniteError, SolveError)):
        adjoint.gradient(stepper, NUM_STEPS)
