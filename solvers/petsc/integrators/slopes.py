"""The slope of an explicit stage, and its transpose.

The slope ``K`` of an explicit stage ``X`` solves ``F(t, X, K, m) = 0``. For a right-hand side it is
``M^-1 f``: one linear solve, or none if the mass matrix is the identity. For a residual it takes
Newton's method, with one iteration if ``F`` is affine in the rate.
"""

from typing import Any

from adjoint.errors import StepperError
from solvers.petsc.integrators.ksp_snes import (
    MATRIX_FREE,
    is_reproducible,
    make_ksp,
    make_snes,
    solve,
    solve_nonlinear,
    solve_transposed,
)
from solvers.petsc.integrators.stages import StagePoint
from solvers.petsc.problem import Mat, ResidualProblem, RhsProblem, Vec

__all__ = ["MassSolver", "RateSolver"]


class MassSolver:
    """Solves with the mass matrix; options have the prefix followed by ``mass_``."""

    def __init__(self, problem: RhsProblem, prefix: str) -> None:
        self._ksp = None
        if problem.mass is not None:
            self._ksp = make_ksp(problem, f"{prefix}mass_", problem.mass, problem.mass)

    @property
    def is_identity(self) -> bool:
        """Whether there is no mass matrix to solve with."""
        return self._ksp is None

    def solve(self, point: StagePoint, right: Vec, out: Vec) -> None:
        """Write ``M^-1 right``; raises as `StageSolver.solve`."""
        assert self._ksp is not None
        what = "the solve with the mass matrix"
        solve(self._ksp, right, out, what, point.step, point.time)

    def solve_transposed(self, point: StagePoint, right: Vec, out: Vec) -> None:
        """Write ``M^-T right``; raises as `StageSolver.solve`."""
        assert self._ksp is not None
        solve_transposed(self._ksp, right, out, point.step, point.time)


class RateSolver:
    """Solves ``F(t, X, K, m) = 0`` for the slope ``K`` of an explicit stage of a residual.

    Uses SNES from zero; options have the prefix followed by ``rate_``. ``dF/du'`` is the difference
    of the Jacobians for the shifts 1 and 0, so each takes two assemblies.

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
                "as a matrix, but the Jacobian is matrix-free: make it a RhsProblem with a mass "
                "matrix, or use Theta, BDF2 or SDIRK_2"
            )
        self._problem = problem
        self._matrix = problem.matrix.duplicate()
        self._snes = make_snes(
            problem, f"{prefix}rate_", self._function, self._jacobian, self._matrix, self._matrix
        )
        self.reproducible = is_reproducible(self._snes.getKSP(), self._snes)
        self._stage: tuple[StagePoint, Vec] | None = None

    def solve(self, point: StagePoint, x: Vec, rate: Vec) -> None:
        """Write the slope at `x` to `rate`; raises as `StageSolver.solve`."""
        rate.set(0.0)
        self._stage = point, x
        solve_nonlinear(self._snes, rate, "the solve for a slope", point.step, point.time)
        self._stage = None

    def solve_transposed(self, point: StagePoint, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        """Solve ``(dF/du')^T w = right`` at `x` and `rate`; raises as `StageSolver.solve`."""
        self._assemble(point, x, rate)
        ksp = self._snes.getKSP()
        ksp.setOperators(self._matrix, self._matrix)
        solve_transposed(ksp, right, w, point.step, point.time)

    def state_vjp(self, point: StagePoint, x: Vec, rate: Vec, w: Vec, out: Vec) -> None:
        """Write ``-(dF/du)^T w``, at `x` and `rate`, to `out`."""
        self._assemble_own(point, x, rate, 0.0)
        self._problem.matrix.multTranspose(w, out)
        out.scale(-1.0)

    def _assemble(self, point: StagePoint, x: Vec, rate: Vec) -> None:
        self._assemble_own(point, x, rate, 1.0)
        self._problem.matrix.copy(self._matrix)
        self._assemble_own(point, x, rate, 0.0)
        same = self._matrix.Structure.SAME_NONZERO_PATTERN
        self._matrix.axpy(-1.0, self._problem.matrix, same)

    def _assemble_own(self, point: StagePoint, x: Vec, rate: Vec, shift: float) -> None:
        problem = self._problem
        matrices = (problem.matrix, problem.preconditioner)
        problem.jacobian(point.time, x, rate, point.controls, shift, *matrices)

    def _function(self, snes: Any, rate: Vec, f: Vec) -> None:
        del snes
        assert self._stage is not None
        point, x = self._stage
        self._problem.residual(point.time, x, rate, point.controls, f)

    def _jacobian(self, snes: Any, rate: Vec, jacobian: Mat, other: Mat) -> None:
        del snes, other
        assert self._stage is not None
        self._assemble(*self._stage, rate)
        if jacobian != self._matrix:
            jacobian.assemble()  # the matrix-free one of -rate_snes_mf_operator
