"""A problem on a DMPlex on ranks has the cost and gradient of one process."""

import pytest

pytest.importorskip("petsc4py")

from on_ranks import assert_as_on_one
from unstructured_mesh import Triangles

import adjoint
from adjoint.verification import taylor_test
from solvers.petsc import BDF2, CrankNicolson, RungeKutta, tableaux

RANKS = (1, 2, 3)
NUM_STEPS = 9
METHODS = {
    "cn": lambda problem: CrankNicolson(problem, 0.05),
    "bdf2": lambda problem: BDF2(problem, 0.05),
    "rk4": lambda problem: RungeKutta(problem, 0.05, tableaux.RUNGE_KUTTA_4),
}


@pytest.mark.parametrize("method", METHODS)
def test_gradient(comm, method):
    assert_as_on_one(comm, Triangles, METHODS[method], NUM_STEPS, 1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_taylor(comm, method):
    with adjoint.Functional(METHODS[method](Triangles(comm)), NUM_STEPS, comm=comm) as functional:
        assert taylor_test(functional).passed
