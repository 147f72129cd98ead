"""Coefficients and initial state are those of PETSc's ex5adj; a uniform fed state stays uniform."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from numpy.testing import assert_allclose

from solvers.petsc.problems.gray_scott import COEFFICIENTS, GrayScott


def test_initial_state():
    problem = GrayScott((65, 65))
    whole = problem.controls["initial"]
    assert whole.shape == (65, 65, 2)
    for row, column in ((0, 0), (30, 28), (27, 33)):
        y, x = row * 2.5 / 65, column * 2.5 / 65
        v = 0.0
        if 1 <= x <= 1.5 and 1 <= y <= 1.5:
            v = np.sin(4 * np.pi * x) ** 2 * np.sin(4 * np.pi * y) ** 2 / 4
        assert_allclose(whole[row, column], [1 - 2 * v, v], atol=1e-15)
    assert whole[..., 1].max() > 0.2


def test_coefficients():
    assert COEFFICIENTS == {"D1": 8e-5, "D2": 4e-5, "gamma": 0.024, "kappa": 0.06}


def test_without_the_catalyst_nothing_happens():
    problem = GrayScott((4, 4))
    u, f = problem.template.duplicate(), problem.template.duplicate()
    u.setArray(np.tile([1.0, 0.0], 16))
    problem.rhs(0.0, u, problem.controls, f)
    assert not f.getArray().any()
