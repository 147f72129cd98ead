"""Whatever SNES lags or adapts in stages, a transposed solve has its own preconditioner.

With one tape the last solve before all of them is that of the last stage.
"""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_options import option_setter
from reactions import reaction

import adjoint
from adjoint.schedules import StoreAll
from solvers.petsc import CrankNicolson, RungeKutta, tableaux

PREFIX = "lagging_"
NUM_STEPS = 8
DIRECT = {"ksp_type": "preonly", "pc_type": "lu"}

LAGGING = [
    {**DIRECT, "snes_lag_preconditioner": 2},
    {**DIRECT, "snes_lag_jacobian": 2},
    {"snes_ksp_ew": True, "ksp_type": "gmres", "pc_type": "none"},
]


@pytest.mark.parametrize("options", LAGGING, ids=lambda options: next(reversed(options)))
@pytest.mark.parametrize("scheme", ["cn", "sdirk"])
def test_the_gradient_is_that_without_lagging(scheme, options):
    exact, found = gradient(scheme, DIRECT), gradient(scheme, options)
    for name, expected in exact.items():
        error = np.abs(found[name] - expected).max() / np.abs(expected).max()
        assert error < 1e-7, name


def gradient(scheme, options):
    set_options(options)
    if scheme == "cn":
        stepper = CrankNicolson(reaction(), 0.5, options_prefix=PREFIX)
    else:
        stepper = RungeKutta(reaction(), 0.5, tableaux.SDIRK_2, options_prefix=PREFIX)
    schedule = StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS)
    return adjoint.gradient(stepper, NUM_STEPS, schedule=schedule).gradient


set_options = option_setter(PREFIX)


def teardown_module():
    set_options({})
