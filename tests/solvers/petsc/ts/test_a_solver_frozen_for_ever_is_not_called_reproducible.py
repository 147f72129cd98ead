"""A Jacobian or preconditioner that SNES builds only once depends on which step was the first."""

import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator, set_options


@pytest.mark.parametrize("lag", [-2, 2])
@pytest.mark.parametrize("what", ["snes_lag_jacobian", "snes_lag_preconditioner"])
def test_only_a_lag_within_one_solve_is_reproducible(what, lag):
    stepper = Oscillator("cn", options={what: lag, "ksp_type": "gmres"}).stepper()
    assert stepper.reproducible == (lag > 0)


def teardown_module():
    set_options({})
