"""The accuracy of the linear solves of adjoint steps.

In a forward step the error of a linear solve is corrected by the next Newton iteration, so PETSc's
default tolerance of 1e-5 is loose. An adjoint step has one linear solve, whose error stays: the
gradient would be less accurate than the states it belongs to.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["as_accurate_as_newton"]


@contextmanager
def as_accurate_as_newton(ts: Any) -> Generator[None, None, None]:
    """Solve linear systems to the relative tolerance of Newton's method, if that is smaller."""
    if ts.getType() == "rk":
        yield
        return
    snes = ts.getSNES()
    ksp = snes.getKSP()
    given = ksp.getTolerances()
    ksp.setTolerances(min(given[0], snes.getTolerances()[0]), *given[1:])
    try:
        yield
    finally:
        ksp.setTolerances(*given)
