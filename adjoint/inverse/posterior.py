"""The Laplace approximation of a posterior: a normal distribution about what was found.

In the prior's white coordinates the posterior's precision is ``I + H``, with H the second
derivative of the misfit. Its few large eigenvalues tell what the data determine; a randomised
eigensolver finds them from two blocks of products (Halko, Martinsson, Tropp 2011,
doi:10.1137/090771806).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.inverse.inversion import Inversion

__all__ = ["LaplacePosterior", "laplace"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LaplacePosterior:
    """A normal distribution of the parameters. No method is collective: every rank holds it whole.

    Flat arrays hold the parameters of all unknowns, one after the other; `split` takes them apart.
    """

    inversion: Inversion
    mean: Array
    """The parameters at which it was made, ``(size,)``."""
    eigenvalues: Array
    """Of the misfit's second derivative in white coordinates, the largest first, ``(rank,)``. The
    data reduce the variance along a mode by the factor ``1 / (1 + eigenvalue)``."""
    modes: Array
    """Orthonormal eigenvectors in white coordinates, in columns, ``(size, rank)``."""
    white_mean: Array
    """White coordinates of the mean."""

    def directions(self) -> Array:
        """Return the modes as directions of the parameters, in columns, ``(size, rank)``."""
        return self._colour(self.modes)

    def prior_variance(self) -> Array:
        """Return the variance of each parameter before the data, ``(size,)``.

        Takes as many applications of the prior's covariance as there are parameters.
        """
        found = [v.white.variance(v.size) for v in self.inversion.variables.values()]
        return np.concatenate(found)

    def variance(self) -> Array:
        """Return the variance of each parameter, ``(size,)``.

        Takes as many applications of the prior's covariance as there are parameters.
        """
        gain = self.eigenvalues / (1 + self.eigenvalues)
        return self.prior_variance() - np.sum(gain * self.directions() ** 2, axis=1)

    def sample(self, rng: np.random.Generator, count: int = 1) -> Array:
        """Return `count` samples of the parameters, ``(count, size)``."""
        noise = rng.standard_normal((len(self.mean), count))
        shrunk = 1 - 1 / np.sqrt(1 + self.eigenvalues)
        noise -= self.modes @ (shrunk[:, None] * (self.modes.T @ noise))
        return self.mean + self._colour(noise).T

    def information_gain(self) -> float:
        """Return the Kullback-Leibler divergence of the posterior from the prior, in nats."""
        values = self.eigenvalues
        spread = np.sum(np.log1p(values) - values / (1 + values))
        return 0.5 * float(spread + self.white_mean @ self.white_mean)

    def split(self, parameters: Array) -> dict[str, Array]:
        """Return the parameters of each unknown in their shape; leading axes stay."""
        found: dict[str, Array] = {}
        for name, variable in self.inversion.variables.items():
            own = parameters[..., self.inversion.objective.places[name]]
            found[name] = own.reshape(*own.shape[:-1], *variable.parameter_shape)
        return found

    def _colour(self, white: Array) -> Array:
        """Return directions of the parameters, given white ones, in columns."""
        return np.concatenate(
            [
                variable.white.apply(white[self.inversion.objective.places[name]])
                for name, variable in self.inversion.variables.items()
            ]
        )


def laplace(
    inversion: Inversion,
    x: Array,
    *,
    rank: int,
    oversample: int = 10,
    power_iterations: int = 0,
    gauss_newton: bool = True,
    seed: int = 0,
) -> LaplacePosterior:
    """Return the Laplace approximation of the posterior at x. Collective.

    Takes ``2 + power_iterations`` products with ``rank + oversample`` directions.

    Parameters
    ----------
    inversion
        Every unknown has a prior with white coordinates; other terms count as the misfit's.
    x
        Where: as a rule what `Inversion.minimise` has found.
    rank
        Number of eigenpairs to keep.
    oversample
        Further random directions: the last eigenpairs become more exact.
    power_iterations
        Further products with the block, where eigenvalues fall slowly.
    gauss_newton
        Whether the second derivative is that of Gauss and Newton, which is never negative.
    seed
        Of the random directions.

    Raises
    ------
    ArgumentError
        On every rank: an unknown has no such prior; `rank` is not from 1 to the number of
        parameters; the second derivative has an eigenvalue of -1 or less, so that x is no minimum.

    Warns
    -----
    UserWarning
        The last eigenvalue kept is above 1: more than `rank` directions are determined by the data.
    """
    found = inversion.together(
        lambda: _on_rank_0(inversion, x, rank, oversample, power_iterations, gauss_newton, seed)
    )
    eigenvalues, modes, mean, white_mean = found
    if eigenvalues[-1] > 1 and rank < len(mean):
        warnings.warn(
            f"the last of {rank} eigenvalues is {eigenvalues[-1]:.3g}, above 1: the data determine "
            "more directions than that; take a larger rank",
            stacklevel=2,
        )
    return LaplacePosterior(inversion, mean, eigenvalues, modes, white_mean)


def _on_rank_0(
    inversion: Inversion,
    x: Array,
    rank: int,
    oversample: int,
    power_iterations: int,
    gauss_newton: bool,
    seed: int,
) -> tuple[Array, Array, Array, Array]:
    parameters = inversion.objective.parameters(np.asarray(x, np.float64))
    white = {name: v.white for name, v in inversion.variables.items()}
    size = inversion.size
    if not 1 <= rank <= size:
        raise ArgumentError(f"rank must be from 1 to {size}, the number of parameters, not {rank}")

    def times(directions: Array) -> Array:
        along = {
            name: white[name].apply(directions[inversion.objective.places[name]])
            for name in inversion.variables
        }
        product = inversion.objective.data_products(parameters, along, gauss_newton=gauss_newton)
        return np.concatenate([white[name].transpose(product[name]) for name in product])

    width = min(size, rank + oversample)
    basis = np.random.default_rng(seed).standard_normal((size, width))
    for _ in range(1 + power_iterations):
        basis = np.linalg.qr(times(basis))[0]
    small = basis.T @ times(basis)
    values, vectors = np.linalg.eigh(0.5 * (small + small.T))
    order = np.argsort(values)[::-1][:rank]
    values, modes = values[order], basis @ vectors[:, order]
    if values.min(initial=0.0) <= -1:
        raise ArgumentError(
            f"the second derivative has the eigenvalue {values.min():.3g} in white coordinates, so "
            "x is no minimum: go on with the search, or take gauss_newton=True"
        )
    mean = np.concatenate([parameters[name] for name in parameters])
    own = np.concatenate([white[name].of(parameters[name]) for name in parameters])
    return values, modes, mean, own
