"""Coordinates in which an optimiser sees a parameter: ``p = offset + C x``.

Arrays are flat: ``(size,)``, or ``(size, k)`` for k vectors in columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["Coordinates", "identity", "scaled"]

Array = NDArray[Any]
COLUMNS = 64
"""Unit vectors mapped at a time for a variance: their images take this many vectors of memory."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """An affine map from coordinates ``x`` to a parameter ``p = offset + C x``."""

    apply: Callable[[Array], Array]
    """Returns ``C v``."""
    transpose: Callable[[Array], Array]
    """Returns ``C^T g``: a gradient with respect to the coordinates."""
    solve: Callable[[Array], Array] | None
    """Returns ``C^-1 v``; None if there is no inverse to apply."""
    offset: Any = 0.0
    """A number, or an array of the size of the parameter."""
    scale: Array | None = None
    """The diagonal of C, if C is one: then a box in p is a box in x."""

    def parameter(self, x: Array) -> Array:
        """Return the parameter of coordinates ``(size,)``."""
        return self.offset + self.apply(x)

    def of(self, parameter: Array) -> Array:
        """Return the coordinates of a parameter ``(size,)``."""
        if self.solve is None:
            raise ArgumentError(
                "the prior's factor has no inverse, so no coordinates belong to a parameter: "
                "leave out the unknown's initial=, and the search starts at the prior's mean"
            )
        return self.solve(parameter - self.offset)

    def variance(self, size: int) -> Array:
        """Return the diagonal of ``C C^T``: the variance of ``C x`` for x of unit variance.

        Takes ``size`` applications of C, `COLUMNS` at a time.
        """
        total = np.zeros(size)
        for first in range(0, size, COLUMNS):
            columns = np.eye(size, min(COLUMNS, size - first), -first)
            total += np.sum(self.apply(columns) ** 2, axis=1)
        return total


def scaled(scale: Array) -> Coordinates:
    """Return coordinates with ``p = scale x``, number by number."""

    def times(vectors: Array) -> Array:
        return (scale * vectors.T).T

    def over(vectors: Array) -> Array:
        return (vectors.T / scale).T

    return Coordinates(times, times, over, scale=scale)


def identity(size: int) -> Coordinates:
    """Return coordinates that are the parameter itself."""

    def same(vectors: Array) -> Array:
        return vectors

    return Coordinates(same, same, same, scale=np.ones(size))
