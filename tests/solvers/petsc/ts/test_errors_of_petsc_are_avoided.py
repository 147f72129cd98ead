"""Two errors of PETSc's gradients are avoided; a test fails once PETSc has fixed one."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_adjoint_solve import difference_gradient, petsc_gradient
from petsc_oscillator import Oscillator

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Revolve, StoreAll

NUM_STEPS = 16
STRIDE = {"stride": 4, "solution_only": True}


@pytest.fixture(scope="module")
def expected():
    return difference_gradient("rk 3bs", NUM_STEPS)


def test_restored_states_with_a_first_same_as_last_method_of_petsc(expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    astray = petsc_gradient("rk 3bs", NUM_STEPS, trajectory=STRIDE)
    assert np.abs(astray - expected).max() > 1e-5, "PETSc's stride checkpointing is right now"


@pytest.mark.parametrize("schedule", [StoreAll(NUM_STEPS), Revolve(NUM_STEPS, 4)], ids=repr)
def test_restored_states_with_a_first_same_as_last_method_here(expected, schedule):
    result = adjoint.gradient(Oscillator("rk 3bs").stepper(), NUM_STEPS, schedule=schedule)
    gradient = np.concatenate(list(result.gradient.values()))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("method", ["2b", "5f", "5dp", "5bs", "6vr", "7vr", "8vr"])
def test_parameters_of_methods_with_a_stage_of_weight_zero(method):
    expected = difference_gradient(f"rk {method}", NUM_STEPS)
    error = np.abs(petsc_gradient(f"rk {method}", NUM_STEPS) - expected).max()
    problem = Oscillator(f"rk {method}")
    if error < 1e-10:
        result = adjoint.gradient(problem.stepper(), NUM_STEPS, schedule=StoreAll(NUM_STEPS))
        gradient = np.concatenate(list(result.gradient.values()))
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-11)
        return
    assert PETSc.Sys.getVersion() < (3, 22)
    with pytest.raises(
        StepperError, match=r"wrong parameter gradients.*solvers\.petsc\.RungeKutta"
    ):
        problem.stepper()
