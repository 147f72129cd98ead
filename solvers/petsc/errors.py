"""Failures of PETSc as errors of `adjoint`, in PETSc's own words, with the step and the time.

The reason for which a solver stopped is the same on all ranks, so all ranks raise.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from adjoint.errors import AdjointError, NonFiniteError, SolveError, StepperError
from solvers.petsc.library import PETSc

__all__ = [
    "check_linear",
    "check_nonlinear",
    "explanation",
    "petsc_errors",
    "transpose_errors",
    "ts_diverged",
    "ts_failed",
]

ERR_SUP = 56
"""PETSC_ERR_SUP: an operation that the object does not support."""

KINDS: dict[int, type[AdjointError]] = {
    71: SolveError,
    72: NonFiniteError,
    81: SolveError,
    82: SolveError,
    91: SolveError,
}
"""Errors by PETSc's error code: PETSC_ERR_MAT_LU_ZRPVT, PETSC_ERR_FP, PETSC_ERR_MAT_CH_ZRPVT,
PETSC_ERR_CONV_FAILED, PETSC_ERR_NOT_CONVERGED (petscerror.h)."""

TS_REASONS = {
    -1: "DIVERGED_NONLINEAR_SOLVE",
    -2: "DIVERGED_STEP_REJECTED",
    -3: "TSFORWARD_DIVERGED_LINEAR_SOLVE",
    -4: "TSADJOINT_DIVERGED_LINEAR_SOLVE",
}
"""TSConvergedReason by number: petsc4py has names for only some of them."""


# -- of linear and nonlinear solvers --------------------------------------------------------------


@contextmanager
def petsc_errors(what: str, step: int | None, time: float | None) -> Generator[None, None, None]:
    """Turn errors that PETSc raises within a solve into errors with the step and the time.

    An exception in a callback is raised unchanged.

    Raises
    ------
    SolveError
        A factorisation had a zero pivot.
    NonFiniteError
        PETSc computed a number that is not finite.
    """
    try:
        yield
    except PETSc.Error as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None  # the exception of a callback
        kind = KINDS.get(getattr(error, "ierr", 0))
        if kind is None:
            raise
        raise kind(f"{what}: {explanation(error)} ({_when(step, time)})") from error


@contextmanager
def transpose_errors(ksp: Any, step: int | None, time: float | None) -> Generator[None, None, None]:
    """Do as `petsc_errors` in a transposed solve, which some solvers do not support.

    Raises
    ------
    StepperError
        The solver or the preconditioner has no transpose.
    SolveError, NonFiniteError
        As for `petsc_errors`.
    """
    try:
        with petsc_errors("the transposed solve", step, time):
            yield
    except PETSc.Error as error:
        if getattr(error, "ierr", 0) != ERR_SUP:
            raise
        kinds = f"-ksp_type {ksp.getType()} -pc_type {ksp.getPC().getType()}"
        raise StepperError(
            f"PETSc cannot solve with the transpose under {kinds} ({_when(step, time)}): use "
            "gmres, bcgs or preonly with lu, ilu, jacobi, bjacobi, asm or gamg"
        ) from error


def check_linear(ksp: Any, what: str, step: int | None, time: float | None) -> None:
    """Raise `SolveError` or `NonFiniteError` unless a linear solver has converged."""
    if ksp.getConvergedReason() > 0:
        return
    advice = f"see -{_prefix(ksp)}ksp_monitor and -{_prefix(ksp)}ksp_converged_reason"
    _fail(f"{what}: KSP {_linear_words(ksp)}", step, time, advice)


def check_nonlinear(snes: Any, step: int | None, time: float | None) -> None:
    """Raise `SolveError` or `NonFiniteError` unless Newton's method has converged."""
    reason = snes.getConvergedReason()
    if reason > 0:
        return
    words = f"SNES {_word(snes)}"
    if reason == PETSc.SNES.ConvergedReason.DIVERGED_LINEAR_SOLVE:
        words += f", KSP {_linear_words(snes.getKSP())}"
    norm = snes.getFunctionNorm()
    words += f" after {snes.getIterationNumber()} iterations, residual norm {norm:.3g}"
    advice = f"take smaller steps, or see -{_prefix(snes)}snes_monitor"
    _fail(words, step, time, advice)


# -- of a TS --------------------------------------------------------------------------------------


def ts_diverged(ts: Any, what: str) -> SolveError:
    """Return the error of a step or an adjoint step that did not converge."""
    reason = ts.getConvergedReason()
    words = f"{what}: {TS_REASONS.get(reason, reason)} in step {ts.getStepNumber()}, at time "
    words += f"{ts.getTime()}, with a step size of {ts.getTimeStep()}"
    if ts.getType() != "rk":
        snes = ts.getSNES()
        words += f"; SNES: {_word(snes)}; KSP: {_word(snes.getKSP())}"
    return SolveError(f"{words}. Try shorter steps or another solver")


def ts_failed(ts: Any, error: Any) -> BaseException:
    """Return the error of a step in which PETSc or a user's callback failed."""
    if error.__cause__ is not None:
        return error.__cause__
    kind = KINDS.get(error.ierr, StepperError)
    return kind(
        f"PETSc failed in step {ts.getStepNumber()}, at time {ts.getTime()}: {explanation(error)}"
    )


# -- PETSc's words --------------------------------------------------------------------------------


def explanation(error: Exception) -> str:
    """Return the message of a PETSc error, without its code and its stack of functions."""
    lines = [line.partition("] ")[2] for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line and "() at " not in line) or str(error)


def _when(step: int | None, time: float | None) -> str:
    """Return the step and the time in words; either may be unknown."""
    when = "the initial state" if step is None else f"step {step}"
    return when if time is None else f"{when}, t = {time}"


def _fail(words: str, step: int | None, time: float | None, advice: str) -> None:
    kind = NonFiniteError if "NAN" in words else SolveError
    raise kind(f"{words} ({_when(step, time)}): {advice}")


def _linear_words(ksp: Any) -> str:
    words = _word(ksp)
    pc = ksp.getPC()
    failed = getattr(pc, "getFailedReason", int)()  # since petsc4py 3.19
    if failed:
        words += f" (PC {pc.getType()}: {_name_of(PETSc.PC.FailedReason, failed)})"
    return f"{words} after {ksp.getIterationNumber()} iterations"


def _word(solver: Any) -> str:
    """Return PETSc's name of the reason for which a solver stopped."""
    return _name_of(type(solver).ConvergedReason, solver.getConvergedReason())


def _name_of(reasons: Any, number: int) -> str:
    """Return the longest name of a number: some have short aliases."""
    names = [name for name, value in vars(reasons).items() if value == number and name.isupper()]
    return max(names, key=len, default=str(number))


def _prefix(solver: Any) -> str:
    return solver.getOptionsPrefix() or ""
