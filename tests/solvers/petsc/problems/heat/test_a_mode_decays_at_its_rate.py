"""A sine in a uniform plate decays at its rate, with an error of second order in the cell size."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from triads import direct

from solvers.petsc import CrankNicolson
from solvers.petsc.problems import Heat

KAPPA, END = 0.3, 0.2


def error(cells: int) -> float:
    direct("decay_")
    y, x = (np.arange(cells) + 0.5) / cells, (np.arange(2 * cells) + 0.5) / cells
    mode = np.outer(np.sin(np.pi * y), np.sin(np.pi * x / 2))
    shape = (cells, 2 * cells)
    plate = Heat(shape, (1.0, 2.0), log_conductivity=np.log(KAPPA), initial=mode)
    stepper = CrankNicolson(plate, END / cells, options_prefix="decay_")
    stepper.start()
    stepper.advance(0, cells)
    exact = mode * np.exp(-KAPPA * np.pi**2 * (1 + 1 / 4) * END)
    return float(np.abs(stepper.state["u"] - exact.ravel()).max())


def test_second_order():
    errors = [error(n) for n in (8, 16)]
    assert 1.8 < np.log2(errors[0] / errors[1]) < 2.3
