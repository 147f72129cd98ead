"""Whatever SNES lags or adapts in forward steps, an adjoint step solves with its own Jacobian.

With one tape the last forward solve before every adjoint step is that of the last step.
"""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator, set_options

import adjoint
from adjoint.schedules import StoreAll

NUM_STEPS = 12

LAGGING = [
    {"snes_lag_jacobian": 2},
    {"snes_lag_preconditioner": 2},
    {"snes_lag_jacobian": -2, "ksp_type": "gmres", "snes_max_it": 500},
    {"snes_lag_preconditioner": -2, "ksp_type": "gmres"},
    {"snes_ksp_ew": True, "ksp_type": "gmres", "pc_type": "none"},
]


@pytest.mark.parametrize("options", LAGGING, ids=lambda options: next(iter(options)))
@pytest.mark.parametrize("method", ["cn", "theta"])
def test_the_gradient_is_that_without_lagging(method, options):
    implicit = method == "theta"
    exact = gradient(Oscillator(method, size=0.3, implicit=implicit))
    found = gradient(Oscillator(method, size=0.3, implicit=implicit, options=options))
    for name, expected in exact.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, err_msg=name)


def gradient(problem):
    schedule = StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS)
    return adjoint.gradient(problem.stepper(), NUM_STEPS, schedule=schedule).gradient


def teardown_module():
    set_options({})
