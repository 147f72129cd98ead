"""Second derivatives and Laplace's approximation against dense algebra and differences."""

import warnings
from contextlib import suppress

import numpy as np
import pytest
from inverse_problems import NUM_STEPS, graded_heat, observed_reaction, ring_stiffness

import adjoint
from adjoint.errors import ArgumentError
from adjoint.inverse import BiLaplacian, Inversion, Log, Tikhonov, TotalVariation, Unknown, laplace
from adjoint.inverse.optional import with_petsc

with suppress(ArgumentError):  # MPI's pipes are open before the first test
    with_petsc("petsc", "this")

HEAT_STEPS = 10
METHODS = ["Newton-CG", "trust-krylov", "trust-ncg", "trust-constr"]
OF_TAO = [
    pytest.param(f"tao:{name}", marks=pytest.mark.needs("petsc4py")) for name in ("bntr", "nls")
]


@pytest.fixture
def reaction():
    prior = BiLaplacian(np.ones(30), ring_stiffness(), gamma=1.0, delta=0.1)
    difference = np.eye(30) - np.eye(30, k=1)
    unknowns = [
        Unknown("m", transform=Log(), prior=prior),
        Unknown("k", transform=Log(), prior=prior, whiten=False),
    ]
    terms = {"k": [Tikhonov(2.0), TotalVariation(1.0, [difference], smoothing=0.3)]}
    with (
        adjoint.Functional(observed_reaction(), NUM_STEPS, memory="1 MiB") as functional,
        Inversion(functional, unknowns, terms=terms) as inversion,
    ):
        yield inversion


@pytest.fixture
def heat():
    """A linear problem, whose misfit is ``|A m - b|^2 / 2``."""
    rod = graded_heat(8, 4, HEAT_STEPS)
    prior = BiLaplacian(rod.mass, rod.stiffness, gamma=0.02, delta=3.0)
    with (
        adjoint.Functional(rod, HEAT_STEPS, memory="1 MiB") as functional,
        Inversion(functional, [Unknown("m", prior=prior)]) as inversion,
    ):
        yield inversion


def test_hessian_is_the_derivative_of_the_gradient(reaction, rng):
    x = 0.1 * rng.standard_normal(reaction.size)
    directions = rng.standard_normal((reaction.size, 3))
    step = 1e-5
    differences = [
        (reaction.cost_and_gradient(x + step * v)[1] - reaction.cost_and_gradient(x - step * v)[1])
        / (2 * step)
        for v in directions.T
    ]
    found = reaction.hessian(x) @ directions
    scale = abs(found).max()
    assert found == pytest.approx(np.stack(differences, axis=1), rel=1e-6, abs=1e-6 * scale)
    small = directions.T @ found
    assert small == pytest.approx(small.T, rel=1e-11)
    gauss_newton = reaction.hessian(x, gauss_newton=True) @ directions
    assert abs(gauss_newton - found).max() > 1e-3 * scale
    assert (np.linalg.eigvalsh(directions.T @ gauss_newton) > 0).all()


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("method", METHODS + OF_TAO)
def test_methods_with_second_derivatives_find_the_minimum(reaction, method, gauss_newton):
    options = {"gatol": 1e-7, "grtol": 0.0} if method.startswith("tao:") else {}
    found = reaction.minimise(method, gauss_newton=gauss_newton, **options)
    if found.tao is not None:
        found.tao.destroy()
    assert found.success
    assert np.linalg.norm(reaction.cost_and_gradient(found.x)[1]) < 1e-3
    kinds = {each.kind for each in found.history}
    assert kinds == {"gradient", "Gauss-Newton" if gauss_newton else "Hessian"}
    assert found.misfit == pytest.approx(reaction.functional.value())


def test_posterior_is_the_dense_one(heat, rng):
    rod, prior = heat.functional.stepper, heat.variables["m"].unknown.prior
    matrix = rod.dense(HEAT_STEPS)[0]
    root = prior.white().apply(np.eye(heat.size))
    values, vectors = np.linalg.eigh(root.T @ matrix.T @ matrix @ root)
    covariance = np.linalg.inv(matrix.T @ matrix + np.linalg.inv(root @ root.T))
    x = heat.minimise("Newton-CG", xtol=1e-12).x
    known = len(heat.history)
    posterior = laplace(heat, x, rank=20)
    assert [each.directions for each in heat.history[known:]] == [30, 30]
    assert posterior.eigenvalues == pytest.approx(values[::-1][:20], rel=1e-8)
    assert posterior.variance() == pytest.approx(np.diag(covariance), rel=1e-6)
    assert abs(posterior.modes.T @ vectors[:, ::-1][:, :3])[:3] == pytest.approx(
        np.eye(3), abs=1e-6
    )
    right = matrix.T @ rod.dense(HEAT_STEPS)[1]
    assert posterior.mean == pytest.approx(covariance @ right, abs=1e-6)
    gain = 0.5 * (np.sum(np.log1p(values) - values / (1 + values)) + x @ x)
    assert posterior.information_gain() == pytest.approx(gain, rel=1e-6)
    samples = posterior.sample(rng, 4000) - posterior.mean
    spread = np.sqrt(np.diag(covariance))
    assert samples.std(axis=0) == pytest.approx(spread, rel=0.06)
    assert samples.mean(axis=0) / spread == pytest.approx(np.zeros(heat.size), abs=0.08)


def test_a_rank_that_is_too_small_is_warned_of(heat):
    with pytest.warns(UserWarning, match="take a larger rank"):
        laplace(heat, heat.initial, rank=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        laplace(heat, heat.initial, rank=40)


def test_what_is_no_minimum_is_refused(reaction):
    with pytest.raises(ArgumentError, match="rank must be from 1 to"):
        laplace(reaction, reaction.initial, rank=0)
    # A start so high that most of it reacts away: the final state hardly grows with it.
    x = reaction.objective.x_of({"m": np.full(30, 3.0), "k": np.zeros(30)})
    with pytest.raises(ArgumentError, match="no minimum"):
        laplace(reaction, x, rank=30, gauss_newton=False)
