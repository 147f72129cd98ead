"""Factors of symmetric positive definite matrices, by SuperLU and LAPACK."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from adjoint.inverse.coordinates import Coordinates

__all__ = ["Factor", "factor", "solver", "symmetric"]

Array = NDArray[Any]
ROUNDING = 1e-12
"""Asymmetry of a matrix, over its largest entry, that rounding explains."""


@dataclass(frozen=True, slots=True)
class Factor:
    """``M = F F^T``: a factor, and solutions of systems with M."""

    apply: Callable[[Array], Array]
    """Returns ``F v``."""
    transpose: Callable[[Array], Array]
    """Returns ``F^T v``."""
    solve: Callable[[Array], Array]
    """Returns ``M^-1 v``."""

    def coordinates(self, offset: Any = 0.0) -> Coordinates:
        """Return coordinates ``x = F^T (p - offset)``: their Euclidean product is that of M.

        ``F^-T = M^-1 F`` and ``F^-1 = F^T M^-1``, so no triangular system is solved.
        """
        return Coordinates(
            apply=lambda v: self.solve(self.apply(v)),
            transpose=lambda g: self.transpose(self.solve(g)),
            solve=self.transpose,
            offset=offset,
        )


def symmetric(matrix: Any, what: str) -> Any:
    """Return a real symmetric matrix, sparse (CSC) or dense, as float64.

    Raises
    ------
    ArgumentError
        It is not square, real, finite and symmetric.
    """
    sparse = scipy.sparse.issparse(matrix)
    found: Any = scipy.sparse.csc_matrix(matrix) if sparse else np.asarray(matrix)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or found.dtype.kind not in "fiu":
        raise ArgumentError(
            f"{what} must be a square real matrix, not one of shape {found.shape} and dtype "
            f"{found.dtype}"
        )
    found = found.astype(np.float64)
    largest = abs(found).max() if found.shape[0] else 0.0
    if not np.isfinite(largest):
        raise ArgumentError(f"{what} must be finite")
    if abs(found - found.T).max() > ROUNDING * largest:
        raise ArgumentError(f"{what} must be symmetric")
    return found


def factor(matrix: Any, what: str) -> Factor:
    """Return the factor of a symmetric positive definite matrix, sparse or dense.

    A sparse one is factored by SuperLU in its symmetric mode: ``P M P^T = L U`` with the pivots on
    the diagonal, hence ``F = P^T L D^(1/2)`` with D the diagonal of U.

    Raises
    ------
    ArgumentError
        It is not symmetric, or not positive definite.
    """
    matrix = symmetric(matrix, what)
    indefinite = ArgumentError(f"{what} must be positive definite")
    if not scipy.sparse.issparse(matrix):
        try:
            lower = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            raise indefinite from None
        pair = (lower, True)
        return Factor(
            lambda v: lower @ v, lambda v: lower.T @ v, lambda v: scipy.linalg.cho_solve(pair, v)
        )
    try:
        lu = scipy.sparse.linalg.splu(
            matrix,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError:  # exactly singular
        raise indefinite from None
    pivots = lu.U.diagonal()
    if not ((lu.perm_r == lu.perm_c).all() and (pivots > 0).all()):
        raise indefinite
    scaled = scipy.sparse.csc_matrix(lu.L @ scipy.sparse.diags(np.sqrt(pivots)))
    permuted = scipy.sparse.csr_matrix(scaled[lu.perm_r, :])
    transposed = scipy.sparse.csr_matrix(permuted.T)
    return Factor(lambda v: permuted @ v, lambda v: transposed @ v, lu.solve)


def solver(matrix: Any) -> Callable[[Array], Array]:
    """Return the function that solves systems with a nonsingular matrix, sparse or dense."""
    if scipy.sparse.issparse(matrix):
        return scipy.sparse.linalg.splu(scipy.sparse.csc_matrix(matrix)).solve
    factored = scipy.linalg.lu_factor(matrix)
    return lambda v: scipy.linalg.lu_solve(factored, v)
