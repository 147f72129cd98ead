"""Of a small nonlinear problem, by hand and by complex step, all matrices agree with JAX's."""

import importlib

import numpy as np
import pytest
from seven_cells import (
    NUM_STEPS,
    AnalyticCells,
    Cells,
    CellsAtOnce,
    controls,
    dense,
    unit_directions,
)

import adjoint
from adjoint.schedules import StoreAll

KINDS = pytest.mark.parametrize("kind", [Cells, AnalyticCells, CellsAtOnce])


@pytest.fixture(scope="module")
def matrices():
    """The Hessian and the Gauss-Newton matrix by JAX."""
    pytest.importorskip("jax")
    return importlib.import_module("seven_cells_in_jax").dense_matrices(controls())


@KINDS
@pytest.mark.parametrize("gauss_newton", [False, True])
def test_dense_matrix(kind, gauss_newton, matrices):
    found, expected = matrix(kind, gauss_newton), matrices[gauss_newton]
    assert np.abs(found - expected).max() <= 1e-14 * np.abs(expected).max()


@KINDS
@pytest.mark.parametrize("gauss_newton", [False, True])
def test_symmetry(kind, gauss_newton):
    found = matrix(kind, gauss_newton)
    assert np.abs(found - found.T).max() <= 1e-14 * np.abs(found).max()


@pytest.mark.parametrize("kind", [AnalyticCells, CellsAtOnce])
@pytest.mark.parametrize("gauss_newton", [False, True])
def test_every_way_gives_the_same(kind, gauss_newton):
    found, expected = matrix(kind, gauss_newton), matrix(Cells, gauss_newton)
    assert np.abs(found - expected).max() <= 1e-14 * np.abs(expected).max()


def matrix(kind, gauss_newton):
    with adjoint.Functional(kind(), NUM_STEPS, schedule=StoreAll(NUM_STEPS)) as functional:
        found = functional.second_order(unit_directions(), gauss_newton=gauss_newton, block=24)
    return dense(found.products)
