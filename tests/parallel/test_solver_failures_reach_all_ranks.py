"""A failing solver raises the same error on all ranks."""

import re

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from petsc4py import PETSc
from plates import SIZE, plate

from adjoint.errors import AdjointError, NonFiniteError, SolveError
from solvers.petsc import BackwardEuler

RANKS = (2,)


def words(comm, stepper, kind) -> str:
    """Return the message of a failing stepper, which must be the same on all ranks."""
    stepper.start()
    with pytest.raises(kind, match=r"step 0, t = 0.01") as caught:
        stepper.advance(0, 1)
    messages = comm.allgather(str(caught.value))
    assert len(set(messages)) == 1
    return messages[0]


def test_too_few_iterations(comm):
    PETSc.Options()["few_ksp_max_it"] = 1
    PETSc.Options()["few_pc_type"] = "none"
    stepper = BackwardEuler(plate(comm), SIZE, options_prefix="few_")
    assert re.search("KSP DIVERGED_(ITS|MAX_IT)", words(comm, stepper, SolveError))


def test_not_a_number_on_the_last_rank(comm):
    problem = plate(comm)
    if comm.rank == comm.size - 1:
        problem.controls["initial"][-1, -1] = np.nan
    assert "NAN" in words(comm, BackwardEuler(problem, SIZE), NonFiniteError)


def test_a_singular_matrix(comm):
    problem = plate(comm)
    problem.rhs_jacobian = lambda t, u, m, jacobian, other: problem._stencil.fill(
        jacobian, [1 / SIZE, 0, 0, 0, 0]
    )
    for name, value in {"ksp_type": "preonly", "pc_type": "redundant"}.items():
        PETSc.Options()[f"singular_{name}"] = value
    stepper = BackwardEuler(problem, SIZE, options_prefix="singular_")
    words(comm, stepper, AdjointError)
