"""Priors, inner products and penalties against dense matrices and complex steps."""

import numpy as np
import pytest
import scipy.sparse
from inverse_problems import GradedHeat

from adjoint.errors import ArgumentError
from adjoint.inverse import (
    BiLaplacian,
    Diagonal,
    Gaussian,
    Mass,
    Tikhonov,
    TotalVariation,
)
from adjoint.inverse.factors import factor

ROD = GradedHeat(4, 3)
SIZE = len(ROD.points)
MEAN = np.linspace(0, 1, SIZE)
PRECISION = (ROD.mass + 0.1 * ROD.stiffness).tocsc()
LOWER = np.tril(np.random.default_rng(2).standard_normal((SIZE, SIZE))) + 6 * np.eye(SIZE)
LUMPED = np.asarray(ROD.mass.sum(axis=1)).ravel()
OPERATOR = 0.02 * ROD.stiffness.toarray() + 3.0 * np.diag(LUMPED)
PRIORS = {
    "sparse precision": (Gaussian(MEAN, precision=PRECISION), np.linalg.inv(PRECISION.toarray())),
    "dense precision": (Gaussian(0.5, precision=LOWER @ LOWER.T), np.linalg.inv(LOWER @ LOWER.T)),
    "factor": (Gaussian(MEAN, factor=LOWER), LOWER @ LOWER.T),
    "sparse factor": (Gaussian(factor=scipy.sparse.csr_matrix(LOWER)), LOWER @ LOWER.T),
    "BiLaplacian": (
        BiLaplacian(ROD.mass, ROD.stiffness, gamma=0.02, delta=3.0, mean=MEAN),
        np.linalg.inv(OPERATOR) @ np.diag(LUMPED) @ np.linalg.inv(OPERATOR),
    ),
    "BiLaplacian, lumped": (
        BiLaplacian(LUMPED, ROD.stiffness, gamma=0.02, delta=3.0),
        np.linalg.inv(OPERATOR) @ np.diag(LUMPED) @ np.linalg.inv(OPERATOR),
    ),
}
DIFFERENCES = scipy.sparse.diags([-1.0, 1.0], [0, 1], (SIZE - 1, SIZE)).tocsr()
TERMS = {
    "Tikhonov": Tikhonov(3.0, reference=MEAN),
    "Tikhonov of differences": Tikhonov(0.5, operator=DIFFERENCES, reference=0.2),
    "TotalVariation": TotalVariation(2.0, [DIFFERENCES], smoothing=0.1),
    "TotalVariation in two directions": TotalVariation(
        2.0, [DIFFERENCES, 0.3 * DIFFERENCES[:, ::-1]], smoothing=0.1, cells=np.diff(ROD.points)
    ),
    **{name: prior for name, (prior, _) in PRIORS.items()},
}


@pytest.mark.parametrize(("prior", "covariance"), PRIORS.values(), ids=PRIORS)
def test_white_coordinates_of_a_prior(prior, covariance, rng):
    white = prior.white()
    root = white.apply(np.eye(SIZE))
    assert root @ root.T == pytest.approx(covariance, rel=1e-9, abs=1e-12 * abs(covariance).max())
    assert white.transpose(np.eye(SIZE)) == pytest.approx(root.T, rel=1e-9, abs=1e-13)
    p = rng.standard_normal(SIZE)
    x = white.of(p)
    assert white.parameter(x) == pytest.approx(p, rel=1e-9, abs=1e-10)
    assert prior.value(p) == pytest.approx(0.5 * x @ x, rel=1e-9)
    assert white.variance(SIZE) == pytest.approx(np.diag(covariance), rel=1e-9)


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_derivatives_of_a_term(term, rng):
    p, v = rng.standard_normal((2, SIZE))
    h = 1e-6
    slope = (term.value(p + h * v) - term.value(p - h * v)) / (2 * h)
    assert term.gradient(p) @ v == pytest.approx(slope, rel=1e-6)
    if not isinstance(term, TotalVariation):  # quadratic: exact for any step
        bend = term.gradient(p + v) - term.gradient(p)
        assert term.hessian_product(p, v) == pytest.approx(bend, rel=1e-9, abs=1e-9)
        return
    bend = np.imag(term.gradient(p + 1e-30j * v)) / 1e-30
    assert term.hessian_product(p, v) == pytest.approx(bend, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("product", [Mass(ROD.mass), Mass(ROD.mass.toarray()), Diagonal(LUMPED)])
def test_coordinates_of_an_inner_product(product, rng):
    coordinates = product.coordinates()
    p, q = rng.standard_normal((2, SIZE))
    assert coordinates.of(p) @ coordinates.of(q) == pytest.approx(p @ product.apply(q), rel=1e-11)
    assert coordinates.parameter(coordinates.of(p)) == pytest.approx(p, rel=1e-11)
    g = rng.standard_normal((SIZE, 2))
    dual = coordinates.transpose(g)
    assert dual.T @ dual == pytest.approx(
        g.T @ np.stack([product.solve(g[:, 0]), product.solve(g[:, 1])], axis=1), rel=1e-10
    )


def test_a_two_dimensional_mass_matrix_is_reconstructed_from_its_factor():
    one = GradedHeat(3, 3).mass
    mass = scipy.sparse.kron(one, one).tocsc()
    found = factor(mass, "M")
    whole = np.eye(mass.shape[0])
    again = found.apply(found.transpose(whole))
    assert abs(again - mass).max() < 1e-14 * abs(mass).max()


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        (scipy.sparse.csc_matrix(np.diag([1.0, -1.0])), "positive definite"),
        (scipy.sparse.csc_matrix(np.diag([1.0, 0.0])), "positive definite"),
        (scipy.sparse.csc_matrix([[0.0, 1.0], [1.0, 0.0]]), "positive definite"),
        (np.diag([1.0, -1.0]), "positive definite"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.ones((2, 3)), "square"),
        (np.array([[np.nan]]), "finite"),
        (np.eye(2) * 1j, "real"),
    ],
)
def test_a_matrix_without_a_factor_is_refused(matrix, why):
    with pytest.raises(ArgumentError, match=why):
        factor(matrix, "M")


@pytest.mark.parametrize(
    "make",
    [
        Gaussian,
        lambda: Gaussian(precision=np.eye(2), factor=np.eye(2)),
        lambda: TotalVariation(1.0, [DIFFERENCES], smoothing=0.0),
        lambda: Diagonal([1.0, 0.0]),
        lambda: BiLaplacian(-LUMPED, ROD.stiffness, gamma=1.0, delta=1.0).white(),
    ],
)
def test_a_term_that_is_none_is_refused(make):
    with pytest.raises(ArgumentError):
        make()
