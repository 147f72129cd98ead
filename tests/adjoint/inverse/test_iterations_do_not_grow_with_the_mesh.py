"""Heat on graded meshes: iterations of a search in coordinates of a mass matrix, and without."""

import numpy as np
import pytest
from inverse_problems import FIRST_READING, graded_heat

import adjoint
from adjoint.errors import ArgumentError
from adjoint.inverse import Diagonal, Inversion, Mass, Riesz, Tikhonov, Unknown

MESHES = ((4, 4), (8, 6), (12, 8))
NUM_STEPS = 10
REDUCTION = 1e-6


def iterations(mesh, make_product, method="L-BFGS-B", **options):
    """Return how many iterations reduce the cost's distance from its minimum by `REDUCTION`."""
    rod = graded_heat(*mesh, NUM_STEPS)
    unknown = Unknown("m", inner_product=make_product(rod))
    terms = {"m": Tikhonov(1.0, operator=np.linalg.cholesky(rod.mass.toarray()).T)}
    costs = []

    def note(intermediate_result):
        costs.append(intermediate_result.fun)

    with adjoint.Functional(rod, NUM_STEPS, memory="4 MiB") as functional:
        inversion = Inversion(functional, [unknown], terms=terms, callback=note)
        costs.append(inversion.cost(inversion.initial))
        found = inversion.minimise(method, max_iterations=2000, **options)
        if found.tao is not None:
            found.tao.destroy()
    least = best_cost(rod, terms["m"])
    reached = np.array(costs) - least < REDUCTION * (costs[0] - least)
    assert reached.any()
    return int(np.argmax(reached))


def best_cost(rod, term):
    """Return the least cost of the quadratic problem, by dense least squares."""
    size = len(rod.points)
    seen, state = [], np.eye(size)
    for step in range(NUM_STEPS):
        seen.append(5.0 * (step >= FIRST_READING) * (rod.readings @ state))
        state = np.array([rod._solve(rod.mass @ column) for column in state.T]).T
    matrix = np.concatenate([*seen, term.operator])
    right = np.concatenate(
        [
            *(5.0 * (step >= FIRST_READING) * row for step, row in enumerate(rod.data)),
            np.zeros(size),
        ]
    )
    solution = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return 0.5 * float(np.sum((matrix @ solution - right) ** 2))


EXACT = {"maxcor": 100, "ftol": 1e-15, "gtol": 1e-12, "maxfun": 100_000}


@pytest.mark.parametrize(
    "make",
    [lambda rod: Mass(rod.mass), lambda rod: Diagonal(np.asarray(rod.mass.sum(axis=1)).ravel())],
    ids=["Mass", "Diagonal"],
)
def test_coordinates_of_an_inner_product_keep_them_constant(make):
    counts = [iterations(mesh, make, **EXACT) for mesh in MESHES]
    assert max(counts) <= counts[0] + 2


def test_without_them_they_grow():
    counts = [iterations(mesh, lambda _: None, **EXACT) for mesh in MESHES]
    assert counts[-1] > 2 * counts[0]


def test_scipy_cannot_use_a_product_without_a_factor():
    with pytest.raises(ArgumentError, match="has no factor"):
        iterations(MESHES[0], lambda rod: Riesz(rod.mass.dot, Mass(rod.mass).solve))
