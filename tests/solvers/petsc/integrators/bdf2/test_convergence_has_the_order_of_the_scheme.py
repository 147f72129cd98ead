"""State, integral of the cost and gradient converge with order 2, on even and uneven steps."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from growths import errors
from triads import direct

from solvers.petsc import BDF2


def uneven(problem, size):
    """Return a stepper whose steps are long and short by turns."""
    num_steps = round(1 / size)
    sizes = size * np.tile([0.8, 1.2], num_steps // 2)
    return BDF2(problem, sizes)


@pytest.mark.parametrize("make", [BDF2, uneven])
def test_order(make):
    direct()
    found = [errors(make, n) for n in (32, 64)]
    orders = np.log2(np.divide(*found))
    assert (orders > 1.75).all(), orders
