"""A TS on any number of ranks has the gradient of one rank, to solver tolerance."""

import numpy as np
import pytest
from mpi4py import MPI

pytest.importorskip("petsc4py")
from petsc_reaction import SHAPE, reaction

import adjoint
from adjoint.schedules import Revolve, StoreAll
from solvers.petsc import CellGrid

NUM_STEPS = 4


@pytest.mark.parametrize(
    ("method", "quadrature"), [("rk 3bs", True), ("rk 4", False), ("cn", True), ("beuler", False)]
)
def test_cost_and_gradient(comm, method, quadrature):
    alone, spread = (reaction(method, c, quadrature=quadrature) for c in (None, comm))
    expected = adjoint.gradient(alone, NUM_STEPS, comm=MPI.COMM_SELF, schedule=StoreAll(NUM_STEPS))
    found = adjoint.gradient(spread, NUM_STEPS, comm=comm, schedule=Revolve(NUM_STEPS, 2))
    assert found.cost == pytest.approx(expected.cost, rel=1e-11)
    own = CellGrid(SHAPE, 2, periodic=True, comm=comm)
    whole = expected.gradient["initial"].reshape(*SHAPE, 2)
    part = found.gradient["initial"].reshape(own.local_shape)
    np.testing.assert_allclose(part, whole[own.own], rtol=0, atol=1e-10 * np.abs(whole).max())
    parameters = (result.gradient["parameters"] for result in (found, expected))
    np.testing.assert_allclose(*parameters, rtol=1e-9)
