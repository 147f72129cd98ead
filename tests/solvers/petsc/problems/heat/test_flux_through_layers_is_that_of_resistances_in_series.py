"""In a layered plate the steady state is exact, with resistances in series."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from numpy.testing import assert_allclose

from solvers.petsc.problems import Heat


def test_a_jump():
    """With heat from one cell only, the flux is the same on either side of it, times resistance."""
    kappa = np.array([[1.0, 1.0, 1.0, 0.1, 0.1, 0.1]])
    width = 1 / 6
    plate = Heat((1, 6), (1e6, 1.0), log_conductivity=np.log(kappa))
    # Between sides held at zero, heat q enters in cell 2: the temperature falls by q times the
    # resistances to either side, which share q.
    left = np.array([0.5, 1.0, 1.0]) * width / 1.0
    right = np.array(
        [0.5 * width / 1.0 + 0.5 * width / 0.1, width / 0.1, width / 0.1, 0.5 * width / 0.1]
    )
    to_left, to_right = left.sum(), right.sum()
    top = to_left * to_right / (to_left + to_right)
    flux_left, flux_right = top / to_left, top / to_right
    temperature = np.zeros(6)
    temperature[:3] = flux_left * np.cumsum(left)
    temperature[3:] = top - flux_right * np.cumsum(right)[:3]
    u, f = plate.template.duplicate(), plate.template.duplicate()
    u.setArray(temperature)
    plate.rhs(0.0, u, plate.controls, f)
    expected = np.zeros(6)
    expected[2] = -1 / width
    assert_allclose(f.getArray(), expected, atol=1e-9)
