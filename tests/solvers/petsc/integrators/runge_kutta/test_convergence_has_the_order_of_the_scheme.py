"""State, integral of the cost and gradient converge with the order of the tableau."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from growths import errors
from triads import direct

from solvers.petsc import RungeKutta, tableaux


@pytest.mark.parametrize("tableau", tableaux.TABLEAUX, ids=lambda tableau: tableau.name)
def test_order(tableau):
    direct()
    coarse = {1: 32, 2: 32, 3: 16, 4: 16, 5: 8}[tableau.order]
    found = [
        errors(lambda p, h: RungeKutta(p, h, tableau), coarse * 2**refined) for refined in (0, 1)
    ]
    orders = np.log2(np.divide(*found))
    assert (orders > tableau.order - 0.4).all(), orders
