"""What is wrong with a TS on one rank is refused on all of them: no rank is left waiting."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_reaction import SHAPE, reaction

import adjoint
from adjoint.errors import ArgumentError, SolveError, StepperError
from adjoint.schedules import StoreAll
from solvers.petsc import TSStepper
from solvers.petsc.problems import GrayScott

RANKS = (2,)


def bare_ts(comm):
    ts = PETSc.TS().create(comm)
    ts.setType("cn")
    return ts


def test_vectors_on_another_communicator(comm):
    with pytest.raises(ArgumentError, match="same communicator"):
        TSStepper(bare_ts(comm), PETSc.Vec().createSeq(3))


def test_parameters_that_are_wrong_on_the_last_rank(comm):
    u = GrayScott(SHAPE, comm=comm).grid.vector()
    parameters = np.zeros(4, np.float32 if comm.rank == comm.size - 1 else np.float64)
    with pytest.raises(ArgumentError, match="float32"):
        TSStepper(bare_ts(comm), u, parameters=parameters)


def test_parameters_that_are_not_the_same_on_all_ranks(comm):
    u = GrayScott(SHAPE, comm=comm).grid.vector()
    with pytest.raises(ArgumentError, match="the same on all ranks"):
        TSStepper(bare_ts(comm), u, parameters=np.zeros(4 + comm.rank))


def test_a_type_without_an_adjoint(comm):
    with pytest.raises(StepperError, match="'bdf'"):
        reaction("bdf", comm)


def test_a_solver_that_does_not_converge(comm):
    stepper = reaction("cn", comm, snes_max_it=1, snes_rtol=1e-15, snes_stol=0.0)
    with pytest.raises(SolveError, match=r"DIVERGED_.* in step 0, at time 0\.0.*SNES"):
        adjoint.gradient(stepper, 3, comm=comm, schedule=StoreAll(3))


def test_parameters_that_the_jacobian_has_no_column_for(comm):
    made = reaction("cn", comm)
    wrong = TSStepper(made._ts, made._u, parameters=np.zeros(5))
    with pytest.raises(StepperError, match=r"PETSc failed in step 2.*global"):
        adjoint.gradient(wrong, 3, comm=comm, schedule=StoreAll(3))


def test_a_callback_that_fails_on_the_last_rank_at_construction(comm):
    ts, u = bare_ts(comm), PETSc.Vec().createMPI(4, comm=comm)
    matrix = PETSc.Mat().createAIJ([4, 4], nnz=1, comm=comm)
    matrix.setUp()

    def rhs(ts, t, u, f):
        if comm.rank == comm.size - 1:
            raise ValueError("no right-hand side here")

    ts.setIFunction(lambda ts, t, u, rate, f: rate.copy(f), u.duplicate())
    ts.setIJacobian(lambda *arguments: None, matrix, matrix)
    ts.setRHSFunction(rhs, u.duplicate())
    ts.setRHSJacobian(lambda *arguments: None, matrix, matrix)
    ts.setTimeStep(0.1)
    with pytest.raises(ValueError, match="no right-hand side"):
        TSStepper(ts, u)


@pytest.mark.parametrize("which", ["pre-step", "post-step"])
def test_a_hook_that_changes_the_solution_of_the_last_rank(comm, which):
    stepper = reaction("rk", comm)
    ts, is_last = stepper._ts, comm.rank == comm.size - 1

    def limit(ts):
        if is_last and ts.getStepNumber() == 2:
            ts.getSolution().getArray()[0] = 0.0

    (ts.setPreStep if which == "pre-step" else ts.setPostStep)(limit)
    with pytest.raises(StepperError, match=f"{which} function changed the solution at step 2"):
        adjoint.gradient(stepper, 4, comm=comm, schedule=StoreAll(4))


def test_a_mass_matrix_that_changes_on_the_last_rank(comm):
    ts, u = bare_ts(comm), PETSc.Vec().createMPI(2 * comm.size, comm=comm)
    u.set(1.0)
    matrix = PETSc.Mat().createAIJ([u.getSizes(), u.getSizes()], nnz=1, comm=comm)
    is_last = comm.rank == comm.size - 1

    def mass(u):
        x = u.getArray(readonly=True)
        return 1 + x**2 if is_last else np.ones_like(x)

    def residual(ts, t, u, rate, f):
        f.setArray(mass(u) * rate.getArray(readonly=True) + u.getArray(readonly=True))

    def jacobian(ts, t, u, rate, shift, a, b):
        twice = 2 * u.getArray(readonly=True) * rate.getArray(readonly=True)
        diagonal = u.duplicate()
        diagonal.setArray(shift * mass(u) + 1 + (twice if is_last else 0))
        b.setDiagonal(diagonal)
        b.assemble()

    ts.setIFunction(residual, u.duplicate())
    ts.setIJacobian(jacobian, matrix, matrix)
    ts.setTimeStep(0.1)
    ts.setMaxSteps(100)
    with pytest.raises(StepperError, match="mass matrix before step 4"):
        adjoint.gradient(TSStepper(ts, u), 4, comm=comm, schedule=StoreAll(4))
