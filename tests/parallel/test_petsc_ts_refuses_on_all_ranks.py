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
