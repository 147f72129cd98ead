"""Theta methods and BDF2 on ranks have the cost and gradient of one process."""

import pytest

pytest.importorskip("petsc4py")

from on_ranks import assert_as_on_one
from plates import NUM_STEPS, SIZE, line, plate
from reactions import reaction

from solvers.petsc import BDF2, BackwardEuler, CrankNicolson

RANKS = (2, 3)


@pytest.mark.parametrize("problem", [plate, line, reaction])
@pytest.mark.parametrize("method", [BackwardEuler, CrankNicolson, BDF2])
def test_gradient(comm, method, problem):
    assert_as_on_one(comm, problem, lambda p: method(p, SIZE), NUM_STEPS, 1e-9)
