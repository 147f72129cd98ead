"""Inner products of a parameter: what "steep" and "small" mean to an optimiser.

On a locally refined mesh the Euclidean product weighs a region by its number of unknowns, and the
number of iterations grows with the refinement. In the product of the function space, given by a
mass matrix, it does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.inverse.coordinates import Coordinates, scaled
from adjoint.inverse.factors import Factor, factor

__all__ = ["Diagonal", "InnerProduct", "Mass", "Riesz"]

Array = NDArray[Any]


class InnerProduct(Protocol):
    """``(a, b) = a^T M b``, for flat arrays of a parameter."""

    def apply(self, vector: Array, /) -> Array:
        """Return ``M v``."""
        ...

    def solve(self, vector: Array, /) -> Array:
        """Return ``M^-1 v``."""
        ...


@dataclass(frozen=True)
class Diagonal:
    """A diagonal matrix, such as a lumped mass matrix: one positive number for each entry.

    Raises
    ------
    ArgumentError
        An entry is not positive and finite.
    """

    weights: Any

    def __post_init__(self) -> None:
        if not (np.isfinite(self._flat).all() and (self._flat > 0).all()):
            raise ArgumentError("Diagonal takes positive finite weights")

    def apply(self, vector: Array, /) -> Array:
        """Return ``M v``."""
        return self._flat * vector

    def solve(self, vector: Array, /) -> Array:
        """Return ``M^-1 v``."""
        return vector / self._flat

    def coordinates(self) -> Coordinates:
        """Return coordinates whose Euclidean product is this one."""
        return scaled(1 / np.sqrt(self._flat))

    @cached_property
    def _flat(self) -> Array:
        return np.asarray(self.weights, np.float64).ravel()


@dataclass(frozen=True)
class Mass:
    """A symmetric positive definite matrix, sparse or dense, which is factored when it is used.

    Raises
    ------
    ArgumentError
        When it is used: the matrix is not symmetric or not positive definite.
    """

    matrix: Any

    def apply(self, vector: Array, /) -> Array:
        """Return ``M v``."""
        return self.matrix @ vector

    def solve(self, vector: Array, /) -> Array:
        """Return ``M^-1 v``."""
        return self._factor.solve(vector)

    def coordinates(self) -> Coordinates:
        """Return coordinates whose Euclidean product is this one."""
        return self._factor.coordinates()

    @cached_property
    def _factor(self) -> Factor:
        return factor(self.matrix, "the matrix of Mass")


@dataclass(frozen=True)
class Riesz:
    """A product without a factor: the matrix and its inverse as functions of flat arrays.

    Only TAO's methods can use it: they take its inverse as their first Hessian's.
    """

    apply: Callable[[Array], Array]
    """Returns ``M v``."""
    solve: Callable[[Array], Array]
    """Returns ``M^-1 v``."""
