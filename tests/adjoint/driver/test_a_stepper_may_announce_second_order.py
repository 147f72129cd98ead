"""A stepper that is not made of functions has products by a `second_order` of its own."""

import numpy as np
import pytest
from seven_cells import NUM_STEPS, Cells, directions

import adjoint
from adjoint.steppers.second_order import second_order

PROTOCOL = "state adjoint controls accumulators start advance record turn pull_back finish"


class Around:
    """A stepper around one that is made of functions."""

    def __init__(self):
        self.cells = Cells()
        for name in PROTOCOL.split():
            setattr(self, name, getattr(self.cells, name))


class Announcing(Around):
    def second_order(self, directions, *, gauss_newton):
        return second_order(self.cells, directions, gauss_newton=gauss_newton)


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_products(gauss_newton):
    found = []
    for stepper in (Announcing(), Cells()):
        with adjoint.Functional(stepper, NUM_STEPS) as functional:
            found.append(functional.second_order(directions(3), gauss_newton=gauss_newton))
    for name, product in found[1].products.items():
        assert np.array_equal(found[0].products[name], product)
