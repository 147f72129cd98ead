"""Solution of the equation of an implicit stage, and of its transpose.

The equation is that of `solvers.petsc.problem`::

    F(t, X, s (X - Z), m) + affine = 0,        J = s dF/du' + dF/du

`NewtonStageSolver` uses SNES, from a first guess that is a function of the state alone, so that a
step taken again has the same bits. The transposed system ``J^T w = right`` is solved by the KSP of
that SNES, with the Jacobian at the solution: same operator, same preconditioner, same options.

`ConstantJacobianSolver` is for a constant Jacobian. ``F`` is then affine, and with ``X = Z + D`` ::

    J D = -F(t, Z, 0, m) - affine

is one linear system, solved by KSP from zero. The operators, and so their factors, are kept for the
last few shifts: with steps of one length nothing is factored twice in a run.
"""

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

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
from solvers.petsc.library import POINTER, call
from solvers.petsc.problem import Controls, Mat, Problem, RhsProblem, Vec

__all__ = [
    "ConstantJacobianSolver",
    "NewtonStageSolver",
    "StagePoint",
    "StageSolver",
    "make_stage_solver",
]

MAX_OPERATORS = 3
"""Operators kept, one per shift: that of the steps, that of a first or last step of another length,
and shift 0, for products with ``dF/du``."""


class StagePoint(NamedTuple):
    """The arguments of the equation of a stage, besides its unknown."""

    step: int
    time: float
    shift: float
    controls: Controls
    state: int | None = None
    """Index of the state that the stage is at, if it is one and no control is per step. The steps
    before and after that state share a Jacobian there."""


class StageSolver(Protocol):
    """Solves the equations of stages. Every method is collective."""

    reproducible: bool
    """Whether solving the same stage again gives the same bits."""

    def start(self) -> None:
        """Discard what depends on the controls, which may have changed."""
        ...

    def solve(
        self,
        point: StagePoint,
        base: Vec,
        x: Vec,
        affine: Vec | None = None,
        other: Vec | None = None,
    ) -> None:
        """Solve for `x`, which holds the first guess on entry; `other` may be another.

        Raises
        ------
        SolveError, NonFiniteError
            A solver diverged, or computed a number that is not finite; on all ranks.
        """
        ...

    def solve_transposed(self, point: StagePoint, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        """Solve ``J^T w = right`` with ``J`` at `x` and ``u' = rate``; raises as `solve`."""
        ...

    def base_vjp(self, point: StagePoint, x: Vec, rate: Vec, w: Vec, right: Vec, out: Vec) -> None:
        """Write the adjoint of the base, ``s (dF/du')^T w`` with ``J^T w = right``, to `out`."""
        ...

    def slope_state_vjp(self, point: StagePoint, u: Vec, w: Vec, out: Vec) -> None:
        """Write ``-(dF/du)^T w`` at ``u' = 0`` to `out`."""
        ...


def make_stage_solver(problem: Problem, prefix: str) -> StageSolver:
    """Return a solver for the stages of a problem, with the options of a prefix.

    Raises
    ------
    StepperError
        The problem has no Jacobian.
    """
    problem.require_matrix("an implicit method")
    return (ConstantJacobianSolver if problem.constant_jacobian else NewtonStageSolver)(
        problem, prefix
    )


class NewtonStageSolver:
    """Solves stages by SNES; options are ``-snes_type``, ``-ksp_type`` and so on, prefixed."""

    def __init__(self, problem: Problem, prefix: str) -> None:
        self._problem = problem
        template = problem.template
        self._rate, self._work = template.duplicate(), template.duplicate()
        self._residuals = template.duplicate(), self._work
        self._snes = make_snes(
            problem,
            prefix,
            self._function,
            self._jacobian,
            problem.matrix,
            problem.preconditioner,
        )
        self._tolerances = self._snes.getKSP().getTolerances()
        self.reproducible = is_reproducible(self._snes.getKSP(), self._snes)
        self._stage: tuple[StagePoint, Vec, Vec | None] | None = None
        self._assembled: tuple[int, float, float] | None = None
        # Only the default product with df/du goes through the matrix, and can share its assembly.
        self._by_matrix = isinstance(problem, RhsProblem) and not problem.has("rhs_state_vjp")

    def start(self) -> None:
        self._assembled = None

    def solve(
        self,
        point: StagePoint,
        base: Vec,
        x: Vec,
        affine: Vec | None = None,
        other: Vec | None = None,
    ) -> None:
        self._stage, self._assembled = (point, base, affine), None
        if other is not None:
            self._choose_guess(x, other)
        solve_nonlinear(self._snes, x, "the solve of a stage", point.step, point.time)
        self._stage = None

    def solve_transposed(self, point: StagePoint, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        self._assemble(point, x, rate)
        ksp = self._snes.getKSP()
        ksp.setOperators(self._problem.matrix, self._problem.preconditioner)
        with _afresh(self._snes, self._tolerances):
            solve_transposed(ksp, right, w, point.step, point.time)

    def base_vjp(self, point: StagePoint, x: Vec, rate: Vec, w: Vec, right: Vec, out: Vec) -> None:
        if not isinstance(self._problem, RhsProblem):
            self._assembled = None
        self._problem.stage_base_vjp(
            point.time, x, rate, point.controls, point.shift, w, right, out
        )

    def slope_state_vjp(self, point: StagePoint, u: Vec, w: Vec, out: Vec) -> None:
        problem = self._problem
        if self._by_matrix and point.state is not None:
            # df/du = s M - J, and the previous step, pulled back next, will solve with this J.
            self._assemble(point, u, u)
            problem.matrix.multTranspose(w, self._work)
            problem.stage_base_vjp(point.time, u, u, point.controls, point.shift, w, w, out)
            out.axpy(-1.0, self._work)
            return
        if not problem.has("rhs_state_vjp"):
            self._assembled = None
        problem.slope_state_vjp(point.time, u, point.controls, w, out)

    def _assemble(self, point: StagePoint, x: Vec, rate: Vec) -> None:
        wanted = None if point.state is None else (point.state, point.time, point.shift)
        if wanted is not None and wanted == self._assembled:
            return
        problem = self._problem
        matrices = (problem.matrix, problem.preconditioner)
        problem.stage_jacobian(point.time, x, rate, point.controls, point.shift, *matrices)
        self._assembled = wanted if self._by_matrix else None

    def _choose_guess(self, x: Vec, other: Vec) -> None:
        """Write the guess with the smaller residual, which SNES then does not compute, to `x`."""
        residual, of_other = self._residuals
        self._function(None, x, residual)
        self._function(None, other, of_other)
        if not residual.norm() <= of_other.norm():  # nor if it is not a number
            other.copy(x)
            residual = of_other
        call("SNESSetInitialFunction", self._snes.handle, POINTER(residual.handle))

    def _function(self, snes: Any, x: Vec, f: Vec) -> None:
        del snes
        assert self._stage is not None
        point, _, affine = self._stage
        self._problem.stage_residual(point.time, x, self._rate_at(x), point.controls, f)
        if affine is not None:
            f.axpy(1.0, affine)

    def _jacobian(self, snes: Any, x: Vec, jacobian: Mat, other: Mat) -> None:
        del snes, other
        assert self._stage is not None
        point, problem = self._stage[0], self._problem
        # petsc4py passes new wrappers, two different objects even for one matrix.
        matrices = (problem.matrix, problem.preconditioner)
        problem.stage_jacobian(
            point.time, x, self._rate_at(x), point.controls, point.shift, *matrices
        )
        if jacobian != problem.matrix:
            jacobian.assemble()  # the matrix-free one of -snes_mf_operator

    def _rate_at(self, x: Vec) -> Vec:
        assert self._stage is not None
        point, base, _ = self._stage
        self._rate.waxpy(-1.0, base, x)
        self._rate.scale(point.shift)
        return self._rate


class ConstantJacobianSolver:
    """Solves stages of a problem with a constant Jacobian; options are ``-ksp_type`` and so on."""

    def __init__(self, problem: Problem, prefix: str) -> None:
        if problem.matrix.getType() in MATRIX_FREE:
            raise StepperError(
                f"{type(problem).__name__} sets constant_jacobian, but its matrix is matrix-free, "
                "and only assembled operators can be kept. Do not set constant_jacobian"
            )
        self._problem = problem
        self._prefix = prefix
        self._right = problem.template.duplicate()
        self._operators: OrderedDict[float, _Operator] = OrderedDict()
        self.reproducible = is_reproducible(_Operator(problem, prefix).ksp)

    def start(self) -> None:
        for operator in self._operators.values():
            operator.stale = True

    def solve(
        self,
        point: StagePoint,
        base: Vec,
        x: Vec,
        affine: Vec | None = None,
        other: Vec | None = None,
    ) -> None:
        del other  # the solution of a linear system needs no guess
        self._problem.slope(point.time, base, point.controls, self._right)
        if affine is not None:
            self._right.axpy(-1.0, affine)
        ksp = self._operator(point, base).ksp
        solve(ksp, self._right, x, "the solve of a stage", point.step, point.time)
        x.axpy(1.0, base)

    def solve_transposed(self, point: StagePoint, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        del rate
        ksp = self._operator(point, x).ksp
        solve_transposed(ksp, right, w, point.step, point.time)

    def base_vjp(self, point: StagePoint, x: Vec, rate: Vec, w: Vec, right: Vec, out: Vec) -> None:
        problem = self._problem
        if isinstance(problem, RhsProblem):
            problem.stage_base_vjp(point.time, x, rate, point.controls, point.shift, w, right, out)
        else:
            self._operator(point._replace(shift=0.0), x).jacobian.multTranspose(w, out)
            out.aypx(-1.0, right)

    def slope_state_vjp(self, point: StagePoint, u: Vec, w: Vec, out: Vec) -> None:
        if self._problem.has("rhs_state_vjp"):
            self._problem.slope_state_vjp(point.time, u, point.controls, w, out)
        else:
            self._operator(point._replace(shift=0.0), u).jacobian.multTranspose(w, out)
            out.scale(-1.0)

    def _operator(self, point: StagePoint, x: Vec) -> "_Operator":
        """Return the operator for the shift of a point, the most recently used one last."""
        operator = self._operators.pop(point.shift, None)
        if operator is None:
            operator = _Operator(self._problem, self._prefix)
            if len(self._operators) >= MAX_OPERATORS:
                self._operators.popitem(last=False)
        self._operators[point.shift] = operator
        if operator.stale:
            matrices = (operator.jacobian, operator.other)
            self._problem.stage_jacobian(point.time, x, x, point.controls, point.shift, *matrices)
            operator.stale = False
        return operator


@contextmanager
def _afresh(snes: Any, tolerances: Any) -> Generator[None, None, None]:
    """Have the KSP of a SNES solve with its own preconditioner and its tolerances.

    Options of SNES may have left the preconditioner of an earlier stage (``-snes_lag_*``), and a
    tolerance that suits an iteration of Newton's method (``-snes_ksp_ew``).
    """
    ksp = snes.getKSP()
    left, adaptive = ksp.getTolerances(), snes.getUseEW()
    snes.setUseEW(False)
    ksp.setTolerances(*tolerances)
    ksp.getPC().setReusePreconditioner(False)
    try:
        yield
    finally:
        snes.setUseEW(adaptive)
        ksp.setTolerances(*left)


class _Operator:
    """A Jacobian for one shift, with its solver."""

    def __init__(self, problem: Problem, prefix: str) -> None:
        self.stale = True
        self.jacobian = problem.matrix.duplicate()
        separate = problem.preconditioner is not problem.matrix
        self.other = problem.preconditioner.duplicate() if separate else self.jacobian
        self.ksp = make_ksp(problem, prefix, self.jacobian, self.other)
