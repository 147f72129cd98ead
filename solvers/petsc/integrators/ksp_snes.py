"""Linear and nonlinear solvers of PETSc for the integrators: made from options, and run.

All take their options after the integrator's prefix (``-ksp_type``, ``-snes_type`` and so on), and
raise `SolveError` or `NonFiniteError` on all ranks if they diverge.
"""

import ctypes
from typing import Any

from solvers.petsc.errors import check_linear, check_nonlinear, petsc_errors, transpose_errors
from solvers.petsc.library import INTEGER, PETSc, call
from solvers.petsc.problem import Mat, Problem, Vec

__all__ = [
    "LAGGED",
    "MATRIX_FREE",
    "is_reproducible",
    "lag",
    "make_ksp",
    "make_snes",
    "solve",
    "solve_nonlinear",
    "solve_transposed",
]

RELATIVE_TOLERANCE = 1e-12
"""Default ``-ksp_rtol`` and ``-snes_rtol``: the gradient inherits the error that solvers leave, and
is compared with finite differences and other schedules to about this accuracy."""

MATRIX_FREE = ("python", "shell")
"""Matrix types that can neither be copied nor subtracted."""

MULTIGRID = ("gamg", "mg", "hmg", "ml", "hypre")
"""Preconditioners whose set-up is not reproducible bit for bit: their smoothers estimate
eigenvalues from random vectors, drawn one after another from one generator."""

LAGGED = ("LagJacobian", "LagPreconditioner")
"""What SNES may keep from earlier iterations."""

ALL_OF_A_DM = (PETSc.KSP.DMActive.ALL,) if hasattr(PETSc.KSP, "DMActive") else ()
"""First argument of ``KSP.setDMActive`` since PETSc 3.25."""


def make_ksp(problem: Problem, prefix: str, matrix: Mat, preconditioner: Mat) -> Any:
    """Return a KSP for a matrix of a problem, set up from the options of a prefix."""
    ksp = PETSc.KSP().create(comm=problem.template.getComm())
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(matrix, preconditioner)
    if problem.dm is not None:
        ksp.setDM(problem.dm)
        ksp.setDMActive(*ALL_OF_A_DM, False)  # pyright: ignore[reportCallIssue]
    ksp.setTolerances(rtol=RELATIVE_TOLERANCE)
    ksp.setFromOptions()
    return ksp


def make_snes(
    problem: Problem, prefix: str, function: Any, jacobian: Any, matrix: Mat, preconditioner: Mat
) -> Any:
    """Return a SNES for a function of vectors of a problem, set up from the options of a prefix."""
    snes = PETSc.SNES().create(comm=problem.template.getComm())
    snes.setOptionsPrefix(prefix)
    if problem.dm is not None:
        snes.setDM(problem.dm)
    snes.setFunction(function, problem.template.duplicate())
    snes.setJacobian(jacobian, matrix, preconditioner)
    snes.setTolerances(rtol=RELATIVE_TOLERANCE)
    snes.getKSP().setTolerances(rtol=RELATIVE_TOLERANCE)
    snes.setFromOptions()
    return snes


def is_reproducible(ksp: Any, snes: Any = None) -> bool:
    """Return whether a solver, and the SNES that it belongs to, give the same bits each time.

    They must start afresh: a lag below zero keeps what was built in whichever step came first.
    """
    options = PETSc.Options(ksp.getOptionsPrefix() or "")
    persisting = ["ksp_reuse_preconditioner"]
    if snes is not None:
        persisting += ["snes_lag_jacobian_persists", "snes_lag_preconditioner_persists"]
        if any(lag(snes, name) < 0 for name in LAGGED):
            return False
    if options.hasName("ksp_guess_type") or ksp.getInitialGuessNonzero():
        return False
    if any(options.getBool(name, False) for name in persisting):
        return False
    return ksp.getPC().getType() not in MULTIGRID


def lag(snes: Any, name: str) -> int:
    """Return after how many iterations SNES builds something of `LAGGED` again; -1 is never."""
    iterations = INTEGER()
    call(f"SNESGet{name}", snes.handle, ctypes.byref(iterations))
    return iterations.value


def solve(ksp: Any, right: Vec, x: Vec, what: str, step: int | None, time: float | None) -> None:
    """Solve a linear system; `what` names it in messages."""
    with petsc_errors(what, step, time):
        ksp.solve(right, x)
    check_linear(ksp, what, step, time)


def solve_transposed(ksp: Any, right: Vec, w: Vec, step: int | None, time: float | None) -> None:
    """Solve with the transpose of the operator of a KSP.

    Raises
    ------
    StepperError
        The solver or the preconditioner has no transpose.
    """
    with transpose_errors(ksp, step, time):
        ksp.solveTranspose(right, w)
    check_linear(ksp, "the transposed solve", step, time)


def solve_nonlinear(snes: Any, x: Vec, what: str, step: int | None, time: float | None) -> None:
    """Solve a nonlinear system; `x` is the first guess, and then the solution."""
    with petsc_errors(what, step, time):
        snes.solve(None, x)
    check_nonlinear(snes, step, time)
