"""Runge-Kutta methods on ranks have the cost and gradient of one process, to solver tolerance."""

import pytest

pytest.importorskip("petsc4py")

from on_ranks import assert_as_on_one
from plates import NUM_STEPS, SIZE, line, plate
from reactions import reaction
from residual_of_rhs import Residual

from solvers.petsc import AdaptiveRungeKutta, RungeKutta, tableaux

RANKS = (2, 3)


@pytest.mark.parametrize("problem", [plate, line, reaction])
def test_implicit(comm, problem):
    def make(p):
        return RungeKutta(p, SIZE, tableaux.TR_BDF2)

    assert_as_on_one(comm, problem, make, NUM_STEPS, 1e-9)


@pytest.mark.parametrize("problem", [line, reaction])
def test_explicit(comm, problem):
    def make(p):
        return RungeKutta(p, SIZE / 4, tableaux.RUNGE_KUTTA_4)

    assert_as_on_one(comm, problem, make, NUM_STEPS, 1e-12)


@pytest.mark.parametrize("tableau", [tableaux.TR_BDF2, tableaux.HEUN_2], ids=lambda t: t.name)
def test_residual(comm, tableau):
    def make(p):
        return RungeKutta(p, SIZE / 4, tableau)

    assert_as_on_one(comm, lambda comm=None: Residual(reaction(comm)), make, NUM_STEPS, 1e-9)


def test_adaptive(comm):
    """All ranks choose the same steps."""
    stepper = AdaptiveRungeKutta(
        plate(comm), tableaux.ESDIRK_3, NUM_STEPS * SIZE, relative=1e-3, absolute=1e-3
    )
    stepper.start()
    stepper.advance(0, 10**6)
    rows = stepper.accepted_steps
    assert all((other == rows).all() for other in comm.allgather(rows))

    def make(p):
        held = AdaptiveRungeKutta(p, tableaux.ESDIRK_3, NUM_STEPS * SIZE)
        held.accept_steps(rows)
        return held

    assert_as_on_one(comm, plate, make, stepper.position, 1e-9)
