"""Every tableau satisfies the conditions of its order, and not those of the next."""

import numpy as np
import pytest

from adjoint.errors import ArgumentError
from solvers.petsc import tableaux

WITH_EMBEDDED = [tableau for tableau in tableaux.TABLEAUX if tableau.embedded is not None]


def conditions(a, b, c) -> list[list[float]]:
    """Return what must vanish for orders 1 to 5 (Hairer, Nørsett and Wanner 1993, table II.2.2)."""
    ac = a @ c
    return [
        [b.sum() - 1],
        [b @ c - 1 / 2],
        [b @ c**2 - 1 / 3, b @ ac - 1 / 6],
        [b @ c**3 - 1 / 4, b @ (c * ac) - 1 / 8, b @ a @ c**2 - 1 / 12, b @ a @ ac - 1 / 24],
        [
            b @ c**4 - 1 / 5,
            b @ (c**2 * ac) - 1 / 10,
            b @ (c * (a @ c**2)) - 1 / 15,
            b @ (c * (a @ ac)) - 1 / 30,
            b @ ac**2 - 1 / 20,
            b @ a @ c**3 - 1 / 20,
            b @ a @ (c * ac) - 1 / 40,
            b @ a @ a @ c**2 - 1 / 60,
            b @ a @ a @ ac - 1 / 120,
        ],
    ]


def order(tableau, weights) -> int:
    met = [np.abs(found).max() < 1e-12 for found in conditions(tableau.a, weights, tableau.c)]
    return met.index(False) if False in met else len(met)


@pytest.mark.parametrize(
    "tableau", [*tableaux.TABLEAUX, tableaux.one_leg(0.3)], ids=lambda tableau: tableau.name
)
def test_order(tableau):
    assert order(tableau, tableau.b) == tableau.order


@pytest.mark.parametrize("tableau", WITH_EMBEDDED, ids=lambda tableau: tableau.name)
def test_embedded_order(tableau):
    assert order(tableau, tableau.embedded) == tableau.embedded_order != tableau.order


def test_explicit_methods_are_listed_first():
    explicit = [tableau.explicit for tableau in tableaux.TABLEAUX]
    assert explicit == sorted(explicit, reverse=True)
    assert 0 < sum(explicit) < len(explicit)


def test_wrong_tableaux_are_refused():
    half = np.full((2, 2), 0.5)
    with pytest.raises(ArgumentError, match="lower triangular"):
        tableaux.Tableau("Gauss", half, half[0], half[0], 4)
    with pytest.raises(ArgumentError, match=r"c \(1,\)"):
        tableaux.Tableau("short", np.tril(half), half[0], half[0, :1], 1)
    with pytest.raises(ArgumentError, match="theta=0"):
        tableaux.one_leg(0)
