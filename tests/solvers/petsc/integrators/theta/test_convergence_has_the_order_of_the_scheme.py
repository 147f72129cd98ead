"""State, integral of the cost and gradient converge with order 1, or 2 for theta = 1/2."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from growths import errors
from triads import direct

from solvers.petsc import Theta


@pytest.mark.parametrize(("theta", "order"), [(1.0, 1), (0.7, 1), (0.5, 2)])
def test_order(theta, order):
    direct()
    found = [errors(lambda p, h: Theta(p, h, theta=theta), n) for n in (16, 32)]
    orders = np.log2(np.divide(*found))
    assert (np.abs(orders - order) < 0.25).all(), orders
