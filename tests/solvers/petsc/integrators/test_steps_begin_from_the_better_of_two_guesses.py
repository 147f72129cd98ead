"""Of the first guesses of a step, the one with the smaller residual is taken."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
import ts_of_problem
from petsc4py import PETSc

from solvers.petsc import BDF2, BackwardEuler, CrankNicolson, RhsProblem
from solvers.petsc.problems import GrayScott

NUM_STEPS, SIZE = 10, 0.5
METHODS = {"beuler": BackwardEuler, "cn": CrankNicolson, "bdf2": BDF2}


def num_jacobians(work) -> int:
    PETSc.Log.begin()
    with PETSc.Log.Stage(f"guesses {id(work)}") as stage:
        work()
    return PETSc.Log.Event("SNESJacobianEval").getPerfInfo(stage)["count"]


def run(stepper) -> None:
    stepper.start()
    stepper.advance(0, NUM_STEPS)


@pytest.mark.parametrize("method", ["beuler", "cn"])
def test_a_prediction_saves_iterations_of_petscs_newton(method):
    solving = {"ksp_type": "gmres", "pc_type": "ilu", "ksp_rtol": 1e-12, "snes_rtol": 1e-12}
    options = {"ts_type": method, **solving}
    ts, u = ts_of_problem.peer(GrayScott((64, 64)), SIZE, NUM_STEPS, options)
    ts.setFromOptions()
    of_petsc = num_jacobians(lambda: ts.solve(u))
    stepper = METHODS[method](GrayScott((64, 64)), SIZE)
    assert num_jacobians(lambda: run(stepper)) <= of_petsc - NUM_STEPS
    np.testing.assert_allclose(stepper.state["u"], u.getArray(), atol=1e-12)


def test_bdf2_needs_no_more_iterations_than_predicted_euler():
    euler, bdf2 = BackwardEuler(GrayScott((64, 64)), SIZE), BDF2(GrayScott((64, 64)), SIZE)
    # The first step of BDF2 is backward Euler without a prediction.
    assert num_jacobians(lambda: run(bdf2)) <= num_jacobians(lambda: run(euler)) + 1


class Draining(RhsProblem):
    """``u' = -sqrt(u)``, in a full vessel and a nearly empty one: not a number below zero."""

    def __init__(self):
        matrix = PETSc.Mat().createAIJ([2, 2], nnz=1, comm=PETSc.COMM_SELF)
        template = PETSc.Vec().createSeq(2)
        matrix.setDiagonal(template)
        matrix.assemble()
        super().__init__(template, {"initial": np.array([1.0, 1e-6])}, matrix=matrix)

    def initial_state(self, m, u):
        u.setArray(m["initial"])

    def rhs(self, t, u, m, f):
        with np.errstate(invalid="ignore"):
            f.setArray(-np.sqrt(u.getArray(readonly=True)))

    def rhs_jacobian(self, t, u, m, jacobian, other):
        diagonal = u.duplicate()
        diagonal.setArray(-0.5 / np.sqrt(u.getArray(readonly=True)))
        jacobian.setDiagonal(diagonal)
        jacobian.assemble()


def test_a_prediction_where_the_equation_is_undefined_is_discarded():
    size, expected = 0.005, np.array([1.0, 1e-6])
    stepper = BackwardEuler(Draining(), size)
    stepper.start()
    stepper.advance(0, 1)
    root = (-size + np.sqrt(size**2 + 4 * expected)) / 2  # of x + size sqrt(x) = u
    np.testing.assert_allclose(stepper.state["u"], root**2, atol=1e-9)
