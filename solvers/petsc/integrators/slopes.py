"""The slope of an explicit stage, and its transpose, by PETSc.

An explicit stage has ``X``; its slope ``K`` is what ``F(t, X, K, m) = 0`` makes it: ``M^-1 f`` for
a right-hand side, by one linear solve, or none where the mass matrix is the identity; and for a
residual by Newton's method, which takes one iteration where ``F`` is affine in the rate.
"""

from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
from petsc4py import PETSc

from adjoint.errors import StepperError
from solvers.petsc.errors import check_nonlinear, solve, solve_transposed, solving
from solvers.petsc.integrators.stages import (
    MATRIX_FREE,
    RELATIVE_TOLERANCE,
    Place,
    is_reproducible,
    linear_solver,
)
from solvers.petsc.problem import Mat, ResidualProblem, RhsProblem, Vec

__all__ = ["MassSolver", "RateSolver"]


class MassSolver:
    """Solves with the mass matrix: options with ``mass_`` after the prefix."""

    def __init__(self, problem: RhsProblem, prefix: str) -> None:
        self._ksp = None
        if problem.mass is not None:
            self._ksp = linear_solver(problem, f"{prefix}mass_", problem.mass, problem.mass)

    @property
    def is_identity(self) -> bool:
        """Whether there is nothing to solve."""
        return self._ksp is None

    def solve(self, place: Place, right: Vec, out: Vec) -> None:
        """Write ``M^-1 right``; raises as `Stages.solve`."""
        assert self._ksp is not None
        what = "the solve with the mass matrix"
        solve(self._ksp, right, out, what, place.step, place.time)

    def solve_transposed(self, place: Place, right: Vec, out: Vec) -> None:
        """Write ``M^-T right``; raises as `Stages.solve`."""
        assert self._ksp is not None
        solve_transposed(self._ksp, right, out, place.step, place.time)


class RateSolver:
    """Solves ``F(t, X, K, m) = 0`` for the slope ``K`` of an explicit stage of a residual.

    By SNES, from zero: options with ``rate_`` after the prefix. The Jacobian's Mat is assembled
    twice for each ``dF/du'``, which is the difference of what it is for the shifts 1 and 0.

    Raises
    ------
    StepperError
        There is no Jacobian, or it is matrix-free.
    """

    def __init__(self, problem: ResidualProblem, prefix: str) -> None:
        problem.require_matrix("an explicit stage of a residual")
        if problem.matrix.getType() in MATRIX_FREE:
            raise StepperError(
                f"an explicit stage of {type(problem).__name__}, a ResidualProblem, needs dF/du' "
                "as a matrix, and its own is matrix-free: make it a RhsProblem with a mass matrix, "
                "or use Theta, BDF2 or SDIRK_2"
            )
        self._problem = problem
        template = problem.template
        self._matrix = problem.matrix.duplicate()
        self._snes = PETSc.SNES().create(comm=template.getComm())
        self._snes.setOptionsPrefix(f"{prefix}rate_")
        if problem.dm is not None:
            self._snes.setDM(problem.dm)
        self._snes.setFunction(self._function, template.duplicate())
        self._snes.setJacobian(self._jacobian, self._matrix)
        self._snes.setTolerances(rtol=RELATIVE_TOLERANCE)
        self._snes.getKSP().setTolerances(rtol=RELATIVE_TOLERANCE)
        self._snes.setFromOptions()
        self.reproducible = is_reproducible(self._snes.getKSP())
        self._stage: tuple[Place, Vec] | None = None

    def solve(self, place: Place, x: Vec, rate: Vec) -> None:
        """Write the slope at `x` to `rate`; raises as `Stages.solve`."""
        rate.set(0.0)
        self._stage = place, x
        with solving("the solve for a slope", place.step, place.time):
            self._snes.solve(None, rate)
        self._stage = None
        check_nonlinear(self._snes, place.step, place.time)

    def solve_transposed(self, place: Place, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        """Solve ``(dF/du')^T w = right``, with it at `x` and `rate`; raises as `Stages.solve`."""
        self._assemble(place, x, rate)
        ksp = self._snes.getKSP()
        ksp.setOperators(self._matrix, self._matrix)
        solve_transposed(ksp, right, w, place.step, place.time)

    def state_vjp(self, place: Place, x: Vec, rate: Vec, w: Vec, out: Vec) -> None:
        """Write ``-(dF/du)^T w``, at `x` and `rate`, to `out`."""
        self._assemble_own(place, x, rate, 0.0)
        self._problem.matrix.multTranspose(w, out)
        out.scale(-1.0)

    def _assemble(self, place: Place, x: Vec, rate: Vec) -> None:
        self._assemble_own(place, x, rate, 1.0)
        self._problem.matrix.copy(self._matrix)
        self._assemble_own(place, x, rate, 0.0)
        same = PETSc.Mat.Structure.SAME_NONZERO_PATTERN
        self._matrix.axpy(-1.0, self._problem.matrix, same)

    def _assemble_own(self, place: Place, x: Vec, rate: Vec, shift: float) -> None:
        problem = self._problem
        matrices = (problem.matrix, problem.preconditioner)
        problem.jacobian(place.time, x, rate, place.controls, shift, *matrices)

    def _function(self, snes: Any, rate: Vec, f: Vec) -> None:
        del snes
        assert self._stage is not None
        place, x = self._stage
        self._problem.residual(place.time, x, rate, place.controls, f)

    def _jacobian(self, snes: Any, rate: Vec, jacobian: Mat, other: Mat) -> None:
        del snes, other
        assert self._stage is not None
        self._assemble(*self._stage, rate)
        if jacobian != self._matrix:
            jacobian.assemble()  # that of -rate_snes_mf_operator
