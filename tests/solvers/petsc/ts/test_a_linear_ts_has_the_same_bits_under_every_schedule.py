"""A linear TS, whose Jacobian PETSc would shift back and forth, has the same bits in any order."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc

import adjoint
from adjoint.schedules import Revolve, StoreAll
from solvers.petsc import TSStepper

SIZE, NUM_STEPS = 7, 23


def stepper(kind: str) -> TSStepper:
    """Return ``u' = (1 + sin t) K u`` with a dense matrix ``K``."""
    rng = np.random.default_rng(0)
    operator = rng.standard_normal((SIZE, SIZE)) - 3 * np.eye(SIZE)
    numbers = np.arange(SIZE, dtype=PETSc.IntType)
    u = PETSc.Vec().createWithArray(rng.standard_normal(SIZE), comm=PETSc.COMM_SELF)
    matrix = PETSc.Mat().createDense([SIZE, SIZE], comm=PETSc.COMM_SELF)
    matrix.setUp()

    def jacobian(ts, t, u, first, second):
        second.setValues(numbers, numbers, (1 + np.sin(t)) * operator)
        second.assemble()

    ts = PETSc.TS().create(PETSc.COMM_SELF)
    ts.setType(kind)
    ts.setProblemType(PETSc.TS.ProblemType.LINEAR)
    ts.setRHSFunction(
        lambda ts, t, u, f: f.setArray((1 + np.sin(t)) * operator @ u.array_r), u.duplicate()
    )
    ts.setRHSJacobian(jacobian, matrix, matrix)
    ts.setTimeStep(0.0313)
    ts.setMaxSteps(10**6)
    return TSStepper(
        ts,
        u,
        terminal_cost=lambda u: float(u.array_r @ u.array_r),
        terminal_cost_vjp=lambda u, adjoint, gradient: adjoint.axpy(2.0, u),
    )


@pytest.mark.parametrize("kind", ["cn", "beuler", "theta"])
def test_bits(kind):
    expected = adjoint.gradient(stepper(kind), NUM_STEPS, schedule=StoreAll(NUM_STEPS)).gradient
    for schedule in (
        Revolve(NUM_STEPS, 2),
        StoreAll(NUM_STEPS, leaf_steps=5),
        StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS),
    ):
        found = adjoint.gradient(stepper(kind), NUM_STEPS, schedule=schedule).gradient
        assert found["initial"].tobytes() == expected["initial"].tobytes(), schedule
