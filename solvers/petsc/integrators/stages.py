"""The equation of an implicit stage, solved and transposed, by PETSc.

The equation is that of `solvers.petsc.problem`::

    F(t, X, s (X - Z), m) + affine = 0,        J = s dF/du' + dF/du

`NewtonStages` solves it by SNES, from a first guess that is a function of the state alone, so that
a step taken again gives the same bits. The transposed system ``J^T w = right`` is solved by the KSP
of that SNES, with the Jacobian at the solution: same operator, same preconditioner, same options.

`ConstantStages` is for a constant Jacobian. ``F`` is then affine, and with ``X = Z + D`` ::

    J D = -F(t, Z, 0, m) - affine

is one linear system, solved by KSP from zero. Its operator, and so its factors, are kept for each
of the last few shifts: for steps of one length nothing is factored twice in a run.

Tolerances are 1e-12 relative unless options say otherwise: what the solvers leave, the gradient
inherits.
"""

from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
from petsc4py import PETSc

from adjoint.errors import StepperError
from solvers.petsc.errors import check_nonlinear, solve, solve_transposed, solving
from solvers.petsc.problem import Controls, Mat, Problem, RhsProblem, Vec

__all__ = [
    "MATRIX_FREE",
    "RELATIVE_TOLERANCE",
    "ConstantStages",
    "NewtonStages",
    "Place",
    "Stages",
    "is_reproducible",
    "linear_solver",
    "stages_of",
]

RELATIVE_TOLERANCE = 1e-12

KEPT_SHIFTS = 2
"""Shifts whose operators are kept: that of the steps, and that of a first or last one."""

MATRIX_FREE = ("python", "shell")
"""Types of matrices of which nothing can be kept, nor be subtracted."""

MULTIGRID = ("gamg", "mg", "hmg", "ml", "hypre")
"""Preconditioners that are not the same bits when they are made again: their smoothers estimate
eigenvalues from random vectors, and go on in the sequence."""

ALL_OF_A_DM = (PETSc.KSP.DMActive.ALL,) if hasattr(PETSc.KSP, "DMActive") else ()
"""What `setDMActive` asks for besides the flag, since PETSc 3.25."""


class Place(NamedTuple):
    """Where a stage is."""

    step: int
    time: float
    shift: float
    controls: Controls
    state: int | None = None
    """The step whose state it is at, if it is at one, under controls that are not of a step: so
    that what one step assembles there, the next may use."""


class Stages(Protocol):
    """Solves the equations of stages. Every method is collective."""

    reproducible: bool
    """Whether the same stage, solved again, has the same bits."""

    def start(self) -> None:
        """Forget what depends on controls: they may have changed."""
        ...

    def solve(self, place: Place, base: Vec, x: Vec, affine: Vec | None = None) -> None:
        """Make `x` the solution; on entry it is the first guess.

        Raises
        ------
        SolveError, NonFiniteError
            PETSc's solvers diverged, or met a number that is not finite; on all ranks.
        """
        ...

    def solve_transposed(self, place: Place, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        """Solve ``J^T w = right``, with ``J`` at `x` and ``u' = rate``; raises as `solve`."""
        ...

    def base_vjp(self, place: Place, x: Vec, rate: Vec, w: Vec, right: Vec, out: Vec) -> None:
        """Write the adjoint of the base, ``s (dF/du')^T w``, to `out`; ``J^T w = right``."""
        ...

    def slope_state_vjp(self, place: Place, u: Vec, w: Vec, out: Vec) -> None:
        """Write ``-(dF/du)^T w`` at ``u' = 0`` to `out`."""
        ...


def stages_of(problem: Problem, prefix: str) -> Stages:
    """Return what solves the stages of a problem, with options of that prefix.

    Raises
    ------
    StepperError
        The problem has no Jacobian.
    """
    problem.require_matrix("an implicit method")
    return (ConstantStages if problem.constant_jacobian else NewtonStages)(problem, prefix)


class NewtonStages:
    """Stages solved by SNES: ``-snes_type``, ``-ksp_type`` and so on, after the prefix."""

    def __init__(self, problem: Problem, prefix: str) -> None:
        self._problem = problem
        template = problem.template
        self._rate, self._work = template.duplicate(), template.duplicate()
        self._snes = PETSc.SNES().create(comm=template.getComm())
        self._snes.setOptionsPrefix(prefix)
        if problem.dm is not None:
            self._snes.setDM(problem.dm)
        self._snes.setFunction(self._function, template.duplicate())
        self._snes.setJacobian(self._jacobian, problem.matrix, problem.preconditioner)
        self._snes.setTolerances(rtol=RELATIVE_TOLERANCE)
        self._snes.getKSP().setTolerances(rtol=RELATIVE_TOLERANCE)
        self._snes.setFromOptions()
        self.reproducible = is_reproducible(self._snes.getKSP())
        self._stage: tuple[Place, Vec, Vec | None] | None = None
        self._assembled: tuple[int, float, float] | None = None
        # A product of the user's own leaves the matrix alone.
        self._by_matrix = isinstance(problem, RhsProblem) and not problem.has("rhs_state_vjp")

    def start(self) -> None:
        self._assembled = None

    def solve(self, place: Place, base: Vec, x: Vec, affine: Vec | None = None) -> None:
        self._stage, self._assembled = (place, base, affine), None
        with solving("the solve of a stage", place.step, place.time):
            self._snes.solve(None, x)
        self._stage = None
        check_nonlinear(self._snes, place.step, place.time)

    def solve_transposed(self, place: Place, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        self._assemble(place, x, rate)
        ksp = self._snes.getKSP()
        ksp.setOperators(self._problem.matrix, self._problem.preconditioner)
        solve_transposed(ksp, right, w, place.step, place.time)

    def base_vjp(self, place: Place, x: Vec, rate: Vec, w: Vec, right: Vec, out: Vec) -> None:
        if not isinstance(self._problem, RhsProblem):
            self._assembled = None
        self._problem.stage_base_vjp(
            place.time, x, rate, place.controls, place.shift, w, right, out
        )

    def slope_state_vjp(self, place: Place, u: Vec, w: Vec, out: Vec) -> None:
        problem = self._problem
        if self._by_matrix and place.state is not None:
            # df/du = s M - J, and the step before this one will solve with this J.
            self._assemble(place, u, u)
            problem.matrix.multTranspose(w, self._work)
            problem.stage_base_vjp(place.time, u, u, place.controls, place.shift, w, w, out)
            out.axpy(-1.0, self._work)
            return
        if not problem.has("rhs_state_vjp"):
            self._assembled = None
        problem.slope_state_vjp(place.time, u, place.controls, w, out)

    def _assemble(self, place: Place, x: Vec, rate: Vec) -> None:
        wanted = None if place.state is None else (place.state, place.time, place.shift)
        if wanted is not None and wanted == self._assembled:
            return
        problem = self._problem
        matrices = (problem.matrix, problem.preconditioner)
        problem.stage_jacobian(place.time, x, rate, place.controls, place.shift, *matrices)
        self._assembled = wanted if self._by_matrix else None

    def _function(self, snes: Any, x: Vec, f: Vec) -> None:
        del snes
        assert self._stage is not None
        place, _, affine = self._stage
        self._problem.stage_residual(place.time, x, self._rate_at(x), place.controls, f)
        if affine is not None:
            f.axpy(1.0, affine)

    def _jacobian(self, snes: Any, x: Vec, jacobian: Mat, other: Mat) -> None:
        del snes, other
        assert self._stage is not None
        place, problem = self._stage[0], self._problem
        # The wrappers handed in are new ones: even of one matrix, they are two objects.
        matrices = (problem.matrix, problem.preconditioner)
        problem.stage_jacobian(
            place.time, x, self._rate_at(x), place.controls, place.shift, *matrices
        )
        if jacobian != problem.matrix:
            jacobian.assemble()  # that of -snes_mf_operator

    def _rate_at(self, x: Vec) -> Vec:
        assert self._stage is not None
        place, base, _ = self._stage
        self._rate.waxpy(-1.0, base, x)
        self._rate.scale(place.shift)
        return self._rate


class ConstantStages:
    """Stages of a problem whose Jacobian is constant: ``-ksp_type`` and so on, with the prefix."""

    def __init__(self, problem: Problem, prefix: str) -> None:
        if problem.matrix.getType() in MATRIX_FREE:
            raise StepperError(
                f"{type(problem).__name__} says constant_jacobian, and its matrix is matrix-free: "
                "operators can be kept of assembled matrices only. Leave constant_jacobian out"
            )
        self._problem = problem
        self._prefix = prefix
        self._right = problem.template.duplicate()
        self._operators: OrderedDict[float, _Operator] = OrderedDict()
        self.reproducible = is_reproducible(_Operator(problem, prefix).ksp)

    def start(self) -> None:
        for operator in self._operators.values():
            operator.stale = True

    def solve(self, place: Place, base: Vec, x: Vec, affine: Vec | None = None) -> None:
        self._problem.slope(place.time, base, place.controls, self._right)
        if affine is not None:
            self._right.axpy(-1.0, affine)
        ksp = self._operator(place, base).ksp
        solve(ksp, self._right, x, "the solve of a stage", place.step, place.time)
        x.axpy(1.0, base)

    def solve_transposed(self, place: Place, x: Vec, rate: Vec, right: Vec, w: Vec) -> None:
        del rate
        ksp = self._operator(place, x).ksp
        solve_transposed(ksp, right, w, place.step, place.time)

    def base_vjp(self, place: Place, x: Vec, rate: Vec, w: Vec, right: Vec, out: Vec) -> None:
        problem = self._problem
        if isinstance(problem, RhsProblem):
            problem.stage_base_vjp(place.time, x, rate, place.controls, place.shift, w, right, out)
        else:
            self._operator(place._replace(shift=0.0), x).jacobian.multTranspose(w, out)
            out.aypx(-1.0, right)

    def slope_state_vjp(self, place: Place, u: Vec, w: Vec, out: Vec) -> None:
        if self._problem.has("rhs_state_vjp"):
            self._problem.slope_state_vjp(place.time, u, place.controls, w, out)
        else:
            self._operator(place._replace(shift=0.0), u).jacobian.multTranspose(w, out)
            out.scale(-1.0)

    def _operator(self, place: Place, x: Vec) -> "_Operator":
        found = self._operators.pop(place.shift, None)
        if found is None:
            found = _Operator(self._problem, self._prefix)
            if len(self._operators) > KEPT_SHIFTS:
                self._operators.popitem(last=False)
        self._operators[place.shift] = found
        if found.stale:
            matrices = (found.jacobian, found.other)
            self._problem.stage_jacobian(place.time, x, x, place.controls, place.shift, *matrices)
            found.stale = False
        return found


class _Operator:
    """A Jacobian for one shift, with its solver."""

    def __init__(self, problem: Problem, prefix: str) -> None:
        self.stale = True
        self.jacobian = problem.matrix.duplicate()
        separate = problem.preconditioner is not problem.matrix
        self.other = problem.preconditioner.duplicate() if separate else self.jacobian
        self.ksp = linear_solver(problem, prefix, self.jacobian, self.other)


def is_reproducible(ksp: Any) -> bool:
    """Return whether a solver gives the same bits however often it is made again."""
    return ksp.getPC().getType() not in MULTIGRID


def linear_solver(problem: Problem, prefix: str, matrix: Mat, preconditioner: Mat) -> Any:
    """Return a KSP for a matrix of a problem, set up from the options of that prefix."""
    ksp = PETSc.KSP().create(comm=problem.template.getComm())
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(matrix, preconditioner)
    if problem.dm is not None:
        ksp.setDM(problem.dm)
        ksp.setDMActive(*ALL_OF_A_DM, False)  # pyright: ignore[reportCallIssue]
    ksp.setTolerances(rtol=RELATIVE_TOLERANCE)
    ksp.setFromOptions()
    return ksp
