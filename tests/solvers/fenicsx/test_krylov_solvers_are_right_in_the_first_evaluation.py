"""With iterative solvers the very first gradient is right: PETSc notices what NumPy writes."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import form_problems
from form_problems import NUM_STEPS
from petsc4py import PETSc

import adjoint
from adjoint.verification import bitwise_test

SOLVERS = {
    "gmres": {"ksp_type": "gmres", "pc_type": "ilu"},
    "bcgs": {"ksp_type": "bcgs", "pc_type": "jacobi"},
    "cg": {"ksp_type": "cg", "pc_type": "jacobi"},
    "gmres, lagged": {
        "ksp_type": "gmres",
        "pc_type": "ilu",
        "snes_lag_preconditioner": 2,
        "snes_ksp_ew": True,
    },
    "lu, lagged": {"snes_lag_jacobian": 3, "snes_max_it": 60},
}


@pytest.fixture
def options():
    """Sets options of PETSc for the prefix ``test_``."""
    database, given = PETSc.Options("test_"), []

    def put(values):
        for name, value in values.items():
            database[name] = value
            given.append(name)

    yield put
    for name in given:
        database.delValue(name)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("problem", ["heat", "p_laplacian", "semi_implicit", "two_levels"])
def test_gradient(problem, solver, options):
    if solver == "cg" and problem == "two_levels":
        pytest.skip("its matrix is not symmetric")
    make = getattr(form_problems, problem)
    expected = adjoint.gradient(make(), NUM_STEPS)
    options(SOLVERS[solver] | {f"initial_{n}": v for n, v in SOLVERS[solver].items()})
    stepper = make(options_prefix="test_")
    found = adjoint.gradient(stepper, NUM_STEPS)
    assert abs(found.cost / expected.cost - 1) < 1e-10
    for name, gradient in expected.gradient.items():
        tolerance = 1e-9 * np.max(abs(gradient))
        np.testing.assert_allclose(found.gradient[name], gradient, rtol=0, atol=tolerance)


@pytest.mark.parametrize("solver", ["gmres", "gmres, lagged", "lu, lagged"])
@pytest.mark.parametrize("problem", ["heat", "p_laplacian"])
def test_every_schedule_gives_the_same_bits(problem, solver, options):
    options(SOLVERS[solver])
    stepper = getattr(form_problems, problem)(options_prefix="test_")
    assert stepper.reproducible
    with adjoint.Functional(stepper, NUM_STEPS, memory="9 kB") as functional:
        assert bitwise_test(functional).passed


@pytest.mark.parametrize(
    "given",
    [{"pc_type": "gamg"}, {"snes_lag_preconditioner": -2}, {"snes_lag_jacobian_persists": True}],
    ids=str,
)
def test_solvers_with_a_history_are_not_called_reproducible(given, options):
    options({"ksp_type": "gmres"} | given)
    assert not form_problems.p_laplacian(options_prefix="test_").reproducible
