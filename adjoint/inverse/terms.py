"""Terms added to the misfit: priors and penalties, functions of one parameter.

All take and return flat arrays, the parameter's numbers in the order of its global array.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.inverse.coordinates import Coordinates
from adjoint.inverse.factors import Factor, factor, solver, symmetric

__all__ = ["BiLaplacian", "Gaussian", "Term", "Tikhonov", "TotalVariation"]

Array = NDArray[Any]


class Term(Protocol):
    """A function of a parameter with two derivatives.

    A *prior* is a term that may have ``white()``: coordinates in which it is ``|x|^2 / 2``.
    """

    def value(self, parameter: Array) -> float:
        """Return the term."""
        ...

    def gradient(self, parameter: Array) -> Array:
        """Return its gradient."""
        ...

    def hessian_product(self, parameter: Array, direction: Array) -> Array:
        """Return its second derivative times a direction, ``(size,)``."""
        ...


class _Quadratic:
    """``(p - mean)^T R (p - mean) / 2``."""

    mean: Any

    def precision_product(self, vector: Array) -> Array:
        """Return ``R v``."""
        raise NotImplementedError

    def value(self, parameter: Array) -> float:
        """Return the term."""
        away = parameter - self._mean
        return 0.5 * float(away @ self.precision_product(away))

    def gradient(self, parameter: Array) -> Array:
        """Return its gradient."""
        return self.precision_product(parameter - self._mean)

    def hessian_product(self, parameter: Array, direction: Array) -> Array:
        """Return its second derivative times a direction."""
        del parameter
        return self.precision_product(direction)

    @cached_property
    def _mean(self) -> Any:
        mean = np.asarray(self.mean, np.float64)
        return mean.ravel() if mean.ndim else float(mean)


@dataclass(frozen=True)
class Gaussian(_Quadratic):
    """A normal distribution, given by its precision or by a factor of its covariance.

    Raises
    ------
    ArgumentError
        Not exactly one of the two is given; when it is used, the precision is not symmetric and
        positive definite.
    """

    mean: Any = 0.0
    """A number, or an array of the parameter."""
    precision: Any = None
    """The inverse of the covariance: a symmetric positive definite matrix, sparse or dense."""
    factor: Any = None
    """A square matrix L, sparse or dense, with covariance ``L L^T``."""

    def __post_init__(self) -> None:
        if (self.precision is None) == (self.factor is None):
            raise ArgumentError("Gaussian takes either precision= or factor=")

    def precision_product(self, vector: Array) -> Array:
        """Return the inverse of the covariance times a vector."""
        if self.precision is not None:
            return self.precision @ vector
        back, forth = self._solves
        return forth(back(vector))

    def white(self) -> Coordinates:
        """Return coordinates in which the distribution has mean 0 and covariance 1."""
        if self.precision is not None:
            return self._factor.coordinates(self._mean)
        matrix, transposed = self.factor, self.factor.T
        return Coordinates(
            lambda x: matrix @ x, lambda g: transposed @ g, self._solves[0], offset=self._mean
        )

    @cached_property
    def _factor(self) -> Factor:
        return factor(self.precision, "the precision of Gaussian")

    @cached_property
    def _solves(self) -> tuple[Any, Any]:
        return solver(self.factor), solver(self.factor.T)


@dataclass(frozen=True)
class BiLaplacian(_Quadratic):
    """A normal distribution with covariance ``A^-1 M A^-1``, ``A = gamma K + delta M``.

    The discretisation of a Gaussian field with the squared inverse of an elliptic operator as its
    covariance, by which the prior does not depend on the mesh (Bui-Thanh, Ghattas, Martin, Stadler
    2013, doi:10.1137/12089586X). The correlation length is ``sqrt(gamma / delta)``, up to a factor
    that depends on the dimension, and the variance falls with ``gamma`` and ``delta``.

    Raises
    ------
    ArgumentError
        When it is used: a matrix is not symmetric, M not positive, A not positive definite.
    """

    mass: Any
    """M: a mass matrix, sparse, of which the row sums are taken; or these as a flat array."""
    stiffness: Any
    """K: a symmetric positive semidefinite sparse matrix."""
    gamma: float
    delta: float
    mean: Any = 0.0
    """A number, or an array of the parameter."""

    def precision_product(self, vector: Array) -> Array:
        """Return ``A M^-1 A v``."""
        operator = self._operator
        return operator @ (operator @ vector / self._lumped)

    def white(self) -> Coordinates:
        """Return coordinates ``p = mean + A^-1 M^(1/2) x`` in which it is white noise."""
        root, solve, operator = np.sqrt(self._lumped), self._factor.solve, self._operator
        return Coordinates(
            apply=lambda x: solve((root * x.T).T),
            transpose=lambda g: (root * solve(g).T).T,
            solve=lambda p: ((operator @ p).T / root).T,
            offset=self._mean,
        )

    @cached_property
    def _lumped(self) -> Array:
        if scipy.sparse.issparse(self.mass) or np.ndim(self.mass) == 2:
            lumped = np.asarray(self.mass.sum(axis=1)).ravel()
        else:
            lumped = np.asarray(self.mass, np.float64).ravel()
        if not (np.isfinite(lumped).all() and (lumped > 0).all()):
            raise ArgumentError("the lumped mass of BiLaplacian must be positive")
        return lumped

    @cached_property
    def _operator(self) -> Any:
        stiffness = symmetric(self.stiffness, "the stiffness of BiLaplacian")
        diagonal = scipy.sparse.diags(self.delta * self._lumped)
        return scipy.sparse.csc_matrix(self.gamma * stiffness + diagonal)

    @cached_property
    def _factor(self) -> Factor:
        return factor(self._operator, "gamma * stiffness + delta * mass")


@dataclass(frozen=True)
class Tikhonov:
    """``weight / 2 |L (p - reference)|^2``."""

    weight: float
    operator: Any = None
    """L: a matrix, sparse or dense; None for the identity."""
    reference: Any = 0.0
    """A number, or an array of the parameter."""

    def value(self, parameter: Array) -> float:
        """Return the term."""
        away = self._seen(parameter - self._reference)
        return 0.5 * self.weight * float(away @ away)

    def gradient(self, parameter: Array) -> Array:
        """Return its gradient."""
        return self.hessian_product(parameter, parameter - self._reference)

    def hessian_product(self, parameter: Array, direction: Array) -> Array:
        """Return its second derivative times a direction."""
        del parameter
        seen = self._seen(direction)
        return self.weight * (seen if self.operator is None else self.operator.T @ seen)

    def _seen(self, vector: Array) -> Array:
        return vector if self.operator is None else self.operator @ vector

    @cached_property
    def _reference(self) -> Any:
        reference = np.asarray(self.reference, np.float64)
        return reference.ravel() if reference.ndim else float(reference)


@dataclass(frozen=True)
class TotalVariation:
    """``weight sum_i w_i sqrt(sum_d (D_d p)_i^2 + smoothing^2)``: it allows jumps, and no ripples.

    Raises
    ------
    ArgumentError
        `smoothing` is not positive: the term would have no derivative where p is flat.
    """

    weight: float
    differences: Sequence[Any]
    """D_d: for each direction a matrix, sparse or dense; all of the same shape."""
    smoothing: float
    """In the unit of a difference: steps below it are penalised as by Tikhonov."""
    cells: Any = 1.0
    """w: a number or an array, such as the volumes of cells."""

    def __post_init__(self) -> None:
        if not self.smoothing > 0:
            raise ArgumentError(
                f"the smoothing of TotalVariation must be positive, not {self.smoothing}"
            )

    def value(self, parameter: Array) -> float:
        """Return the term."""
        return self.weight * float(np.sum(self.cells * self._lengths(self._steps(parameter))))

    def gradient(self, parameter: Array) -> Array:
        """Return its gradient."""
        steps = self._steps(parameter)
        return self._gathered([step / self._lengths(steps) for step in steps])

    def hessian_product(self, parameter: Array, direction: Array) -> Array:
        """Return its second derivative times a direction."""
        steps, along = self._steps(parameter), self._steps(direction)
        lengths = self._lengths(steps)
        slope = sum(step * way for step, way in zip(steps, along, strict=True)) / lengths**3
        return self._gathered(
            [way / lengths - step * slope for step, way in zip(steps, along, strict=True)]
        )

    def _steps(self, parameter: Array) -> list[Array]:
        return [difference @ parameter for difference in self.differences]

    def _lengths(self, steps: list[Array]) -> Array:
        return np.sqrt(sum(step**2 for step in steps) + self.smoothing**2)

    def _gathered(self, parts: list[Array]) -> Array:
        """Return ``weight sum_d D_d^T (w part_d)``."""
        pairs = zip(self.differences, parts, strict=True)
        each = [difference.T @ (self.cells * part) for difference, part in pairs]
        return self.weight * np.sum(each, axis=0)
