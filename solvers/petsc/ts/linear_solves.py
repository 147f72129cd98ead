"""The accuracy of the linear solves of adjoint steps.

In a forward step the error of a linear solve is corrected by the next Newton iteration, so PETSc's
default tolerance of 1e-5 is loose, and SNES may lag its Jacobian or its preconditioner, or choose
the tolerance by Eisenstat and Walker's rule. An adjoint step has one linear solve, whose error
stays: the gradient would be less accurate than the states it belongs to. And what SNES has lagged
is of the last forward step, which need not be the step that is reversed.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from solvers.petsc.integrators.ksp_snes import LAGGED, lag
from solvers.petsc.library import INTEGER, call

__all__ = ["as_accurate_as_newton"]


@contextmanager
def as_accurate_as_newton(ts: Any) -> Generator[None, None, None]:
    """Solve linear systems with their own Jacobian, as accurately as Newton's method.

    Their relative tolerance is that of Newton's method, if it is smaller than their own.
    """
    if ts.getType() == "rk":
        yield
        return
    snes = ts.getSNES()
    ksp = snes.getKSP()
    given, adaptive, lags = ksp.getTolerances(), snes.getUseEW(), [lag(snes, n) for n in LAGGED]
    newton = snes.getTolerances()[0]
    ksp.setTolerances(newton if adaptive else min(given[0], newton), *given[1:])
    snes.setUseEW(False)
    for name in LAGGED:
        _set_lag(snes, name, 1)
    try:
        yield
    finally:
        ksp.setTolerances(*given)
        snes.setUseEW(adaptive)
        for name, given_lag in zip(LAGGED, lags, strict=True):
            _set_lag(snes, name, given_lag)


def _set_lag(snes: Any, name: str, iterations: int) -> None:
    call(f"SNESSet{name}", snes.handle, INTEGER(iterations))
