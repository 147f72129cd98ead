"""What PETSc's solvers say when they fail, as errors with the step, the time and PETSc's own word.

The reason of a solve is the same on all ranks, and so all ranks raise.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
from petsc4py import PETSc

from adjoint.errors import NonFiniteError, SolveError, StepperError

__all__ = ["check_nonlinear", "solve", "solve_transposed", "solving"]


@contextmanager
def solving(what: str, step: int, time: float) -> Generator[None, None, None]:
    """Turn what PETSc raises itself within a solve into an error with the step and the time.

    An exception of a callback is raised as it was.

    Raises
    ------
    SolveError
        A factorisation met a zero pivot.
    NonFiniteError
        PETSc met a number that is not finite.
    """
    try:
        yield
    except PETSc.Error as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None  # that of a callback
        kind = RAISED.get(getattr(error, "ierr", 0))
        if kind is None:
            raise
        lines = [line.partition("] ")[2] for line in str(error).splitlines()]
        told = "; ".join(line for line in lines if line and "() at " not in line)
        raise kind(f"{what}: {told} (step {step}, t = {time})") from error


def solve(ksp: Any, right: Any, x: Any, what: str, step: int, time: float) -> None:
    """Solve a linear system.

    Raises
    ------
    NonFiniteError
        It met a number that is not finite.
    SolveError
        It diverged, or its preconditioner could not be made.
    """
    with solving(what, step, time):
        ksp.solve(right, x)
    _check_linear(ksp, what, step, time)


def _check_linear(ksp: Any, what: str, step: int, time: float) -> None:
    reason = ksp.getConvergedReason()
    if reason > 0:
        return
    advice = f"see -{_prefix(ksp)}ksp_monitor and -{_prefix(ksp)}ksp_converged_reason"
    _fail(f"{what}: KSP {_linear_words(ksp)}", step, time, advice)


def check_nonlinear(snes: Any, step: int, time: float) -> None:
    """Raise unless Newton's method has converged; errors as of `solve`."""
    reason = snes.getConvergedReason()
    if reason > 0:
        return
    words = f"SNES {_word(PETSc.SNES.ConvergedReason, reason)}"
    if reason == PETSc.SNES.ConvergedReason.DIVERGED_LINEAR_SOLVE:
        words += f", KSP {_linear_words(snes.getKSP())}"
    norm = snes.getFunctionNorm()
    words += f" after {snes.getIterationNumber()} iterations, residual norm {norm:.3g}"
    advice = f"take smaller steps, or see -{_prefix(snes)}snes_monitor"
    _fail(words, step, time, advice)


def solve_transposed(ksp: Any, right: Any, w: Any, step: int, time: float) -> None:
    """Solve with the transpose of a solver's operator.

    Raises
    ------
    StepperError
        The solver or the preconditioner has no transpose.
    NonFiniteError, SolveError
        As for `solve`.
    """
    try:
        with solving("the transposed solve", step, time):
            ksp.solveTranspose(right, w)
    except PETSc.Error as error:
        if getattr(error, "ierr", 0) != NO_SUPPORT:
            raise
        kinds = f"-ksp_type {ksp.getType()} -pc_type {ksp.getPC().getType()}"
        raise StepperError(
            f"PETSc cannot solve with the transpose under {kinds} (step {step}, t = {time}): "
            "gmres, bcgs and preonly can, with lu, ilu, jacobi, bjacobi, asm or gamg"
        ) from error
    _check_linear(ksp, "the transposed solve", step, time)


NO_SUPPORT = 56
"""PETSC_ERR_SUP."""

RAISED = {71: SolveError, 72: NonFiniteError, 81: SolveError}
"""PETSC_ERR_MAT_LU_ZRPVT, PETSC_ERR_FP and PETSC_ERR_MAT_CH_ZRPVT, of factorisations that give no
reason."""


def _fail(words: str, step: int, time: float, advice: str) -> None:
    kind = NonFiniteError if "NAN" in words else SolveError
    raise kind(f"{words} (step {step}, t = {time}): {advice}")


def _linear_words(ksp: Any) -> str:
    words = _word(PETSc.KSP.ConvergedReason, ksp.getConvergedReason())
    # petsc4py tells it since 3.19.
    failed = getattr(ksp.getPC(), "getFailedReason", int)()
    if failed:
        words += f" (PC {ksp.getPC().getType()}: {_word(PETSc.PC.FailedReason, failed)})"
    return f"{words} after {ksp.getIterationNumber()} iterations"


def _word(reasons: Any, number: int) -> str:
    """Return PETSc's own word for a reason."""
    for name, value in vars(reasons).items():
        if value == number and name.isupper():
            return name
    return str(number)


def _prefix(solver: Any) -> str:
    return solver.getOptionsPrefix() or ""
