"""What went wrong inside PETSc, in its own words, with the step and the time."""

from typing import Any

from adjoint.errors import NonFiniteError, SolveError, StepperError

__all__ = ["diverged", "explanation", "failed"]

TS = Any

REASONS = {
    -1: "DIVERGED_NONLINEAR_SOLVE",
    -2: "DIVERGED_STEP_REJECTED",
    -3: "TSFORWARD_DIVERGED_LINEAR_SOLVE",
    -4: "TSADJOINT_DIVERGED_LINEAR_SOLVE",
}
"""Why a TS gave up: petsc4py knows only some of these."""

UNSOLVED = (71, 81, 82, 91)
"""PETSc's codes for zero pivots, and for solvers that do not converge."""

NOT_FINITE = 72
"""PETSc's code for numbers that are not finite."""


def diverged(ts: TS, what: str) -> SolveError:
    """Return the error of a step or an adjoint step that did not converge."""
    reason = ts.getConvergedReason()
    said = f"{what}: {REASONS.get(reason, reason)} in step {ts.getStepNumber()}, at time "
    said += f"{ts.getTime()}, with a size of {ts.getTimeStep()}"
    if ts.getType() != "rk":
        snes = ts.getSNES()
        said += f"; SNES: {_word(snes)}; KSP: {_word(snes.getKSP())}"
    return SolveError(f"{said}. Shorter steps or another solver may help")


def failed(ts: TS, error: Any) -> Exception:
    """Return the error of a step in which a function of PETSc failed, or a user's callback."""
    if error.__cause__ is not None:
        return error.__cause__
    kind = StepperError
    if error.ierr == NOT_FINITE:
        kind = NonFiniteError
    elif error.ierr in UNSOLVED:
        kind = SolveError
    return kind(
        f"PETSc failed in step {ts.getStepNumber()}, at time {ts.getTime()}: {explanation(error)}"
    )


def explanation(error: Exception) -> str:
    """Return what PETSc says in an error, without the functions that it passed through."""
    lines = [line.partition("] ")[2] or line for line in str(error).splitlines()]
    return "; ".join(line for line in lines if "() at " not in line)


def _word(solver: Any) -> str:
    """Return PETSc's own word for why a solver ended."""
    reason, reasons = solver.getConvergedReason(), vars(type(solver).ConvergedReason)
    words = [name for name, value in reasons.items() if value == reason]
    return max(words, key=len, default=str(reason))
