"""With multigrid a stepper is not called reproducible; its gradient is still correct."""

import pytest

pytest.importorskip("petsc4py")

from petsc4py import PETSc
from petsc_oscillator import Oscillator
from plates import NUM_STEPS, SIZE, plate
from reactions import reaction

from adjoint.verification import dot_product_test
from solvers.petsc import CrankNicolson


@pytest.mark.parametrize(
    "make", [plate, lambda: reaction(shape=(16, 16))], ids=["heat", "reaction"]
)
def test_gamg(make):
    PETSc.Options()["multigrid_pc_type"] = "gamg"
    stepper = CrankNicolson(make(), SIZE, options_prefix="multigrid_")
    assert not stepper.reproducible
    assert dot_product_test(stepper, NUM_STEPS).passed
    assert CrankNicolson(make(), SIZE).reproducible


def test_a_ts_with_gamg():
    assert not Oscillator("cn", options={"pc_type": "gamg"}).stepper().reproducible
    assert Oscillator("cn").stepper().reproducible
