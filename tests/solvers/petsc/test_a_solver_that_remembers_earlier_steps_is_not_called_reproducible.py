"""What a solver keeps from earlier steps depends on which step was the first."""

import pytest

pytest.importorskip("petsc4py")
from petsc_options import option_setter
from petsc_oscillator import Oscillator
from petsc_oscillator import set_options as set_oscillator_options
from reactions import reaction

from solvers.petsc import BDF2, BackwardEuler, CrankNicolson, RungeKutta, tableaux

PREFIX = "remembering_"
OPTIONS = {
    "a lag within one solve": ({"snes_lag_jacobian": 2, "snes_lag_preconditioner": 3}, True),
    "a Jacobian built once": ({"snes_lag_jacobian": -2}, False),
    "a preconditioner built once": ({"snes_lag_preconditioner": -2}, False),
    "a lag across solves": ({"snes_lag_jacobian": 2, "snes_lag_jacobian_persists": True}, False),
    "a preconditioner kept": ({"ksp_reuse_preconditioner": True}, False),
    "an initial guess": ({"ksp_initial_guess_nonzero": True}, False),
}
STEPPERS = {
    "TS": None,
    "backward Euler": BackwardEuler,
    "Crank-Nicolson": CrankNicolson,
    "BDF2": BDF2,
    "SDIRK 2": lambda *args, **options: RungeKutta(*args, tableaux.SDIRK_2, **options),
}


@pytest.mark.parametrize(("options", "reproducible"), OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("make", STEPPERS.values(), ids=STEPPERS)
def test_options(make, options, reproducible):
    options = {"ksp_type": "gmres", **options}
    if make is None:
        stepper = Oscillator("cn", options=options).stepper()
    else:
        set_options(options)
        stepper = make(reaction(), 0.5, options_prefix=PREFIX)
    assert stepper.reproducible == reproducible


set_options = option_setter(PREFIX)


def teardown_module():
    set_options({})
    set_oscillator_options({})
