"""Taylor's and the dot product's test of a TS on ranks, with iterative solvers.

The dot product's writes an adjoint behind PETSc's back, which keeps the norms of vectors that it
knows, and would stop a solver too early on one that has changed.
"""

import pytest

pytest.importorskip("petsc4py")
from petsc_reaction import reaction

import adjoint
from adjoint.schedules import Revolve
from adjoint.verification import dot_product_test, taylor_test

RANKS = (2,)
NUM_STEPS = 3


@pytest.mark.parametrize("method", ["rk 3bs", "cn"])
def test_on_these_ranks(comm, method):
    stepper = reaction(method, comm, quadrature=True)
    assert dot_product_test(stepper, NUM_STEPS, comm=stepper.comm).passed
    schedule = Revolve(NUM_STEPS, 1)
    with adjoint.Functional(stepper, NUM_STEPS, comm=stepper.comm, schedule=schedule) as functional:
        assert taylor_test(functional).passed
