"""Heat on graded meshes: iterations of a search in coordinates of a mass matrix, and without."""

from contextlib import suppress

import numpy as np
import pytest
from inverse_problems import graded_heat

import adjoint
from adjoint.errors import ArgumentError
from adjoint.inverse import Diagonal, Inversion, Mass, Riesz, Tikhonov, Unknown
from adjoint.inverse.optional import with_petsc

with suppress(ArgumentError):  # MPI's pipes are open before the first test
    with_petsc("petsc", "this")

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
    matrix, right = rod.dense(NUM_STEPS)
    matrix = np.concatenate([matrix, term.operator])
    right = np.concatenate([right, np.zeros(len(rod.points))])
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


def test_newton_steps_do_not_grow_either():
    counts = [iterations(mesh, lambda rod: Mass(rod.mass), "Newton-CG") for mesh in MESHES]
    assert max(counts) <= counts[0] + 2


@pytest.mark.needs("petsc4py")
def test_tao_uses_a_product_without_a_factor():
    exact = {"gatol": 1e-9, "grtol": 0.0}
    counts = [
        iterations(
            mesh, lambda rod: Riesz(rod.mass.dot, Mass(rod.mass).solve), "tao:blmvm", **exact
        )
        for mesh in MESHES
    ]
    assert max(counts) <= counts[0] + 2
    assert iterations(MESHES[0], lambda _: None, "tao:blmvm", **exact) > 5 * counts[0]


def test_scipy_cannot_use_a_product_without_a_factor():
    with pytest.raises(ArgumentError, match="has no factor"):
        iterations(MESHES[0], lambda rod: Riesz(rod.mass.dot, Mass(rod.mass).solve))
