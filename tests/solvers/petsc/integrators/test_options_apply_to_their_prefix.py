"""Options apply to the solvers with their prefix, and to no others."""

import pytest

pytest.importorskip("petsc4py")

import triads
from petsc4py import PETSc

from solvers.petsc import CrankNicolson, RungeKutta, tableaux


@pytest.fixture
def option():
    given = []

    def give(name, value):
        PETSc.Options()[name] = value
        given.append(name)

    yield give
    for name in given:
        PETSc.Options().delValue(name)


def test_newton(option):
    option("one_ksp_type", "bcgs")
    option("one_snes_max_it", 7)
    one = CrankNicolson(triads.RhsTriad(), triads.SIZES, options_prefix="one_")._solver._snes
    other = CrankNicolson(triads.RhsTriad(), triads.SIZES, options_prefix="other_")._solver._snes
    assert (one.getKSP().getType(), one.getTolerances()[3]) == ("bcgs", 7)
    assert other.getKSP().getType() != "bcgs"
    assert other.getTolerances()[3] != 7


def test_mass(option):
    option("one_mass_ksp_type", "cg")
    stepper = RungeKutta(
        triads.RhsTriad(), triads.SIZES, tableaux.RUNGE_KUTTA_4, options_prefix="one_"
    )
    assert stepper._mass._ksp.getType() == "cg"


def test_a_monitor_is_called(option, capfd):
    option("told_snes_monitor", "")
    stepper = CrankNicolson(triads.RhsTriad(), triads.SIZES, options_prefix="told_")
    stepper.start()
    stepper.advance(0, 1)
    PETSc.Sys.syncFlush()
    assert "SNES Function norm" in capfd.readouterr().out
