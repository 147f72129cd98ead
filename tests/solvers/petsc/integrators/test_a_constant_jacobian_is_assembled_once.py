"""With a constant Jacobian and steps of one length, a gradient assembles the Jacobian once."""

import pytest

pytest.importorskip("petsc4py")

from plates import NUM_STEPS, SIZE, plate

import adjoint
from adjoint.schedules import Revolve
from solvers.petsc import CrankNicolson, RungeKutta, tableaux


class Counting(type(plate())):
    """Heat that counts its assemblies."""

    assemblies = 0

    def rhs_jacobian(self, t, u, m, jacobian, other):
        self.assemblies += 1
        super().rhs_jacobian(t, u, m, jacobian, other)


def assemblies(make) -> list[int]:
    problem = plate()
    problem.__class__ = Counting
    found = []
    schedule = Revolve(NUM_STEPS, 2)
    with adjoint.Functional(make(problem), NUM_STEPS, schedule=schedule) as functional:
        for _ in range(2):
            functional.value_and_gradient()
            found.append(problem.assemblies)
    return found


def test_crank_nicolson():
    assert assemblies(lambda p: CrankNicolson(p, SIZE)) == [1, 2]


def test_singly_diagonally_implicit():
    assert assemblies(lambda p: RungeKutta(p, SIZE, tableaux.SDIRK_3)) == [1, 2]
