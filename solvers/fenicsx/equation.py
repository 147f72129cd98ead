"""The equation of a step, ``F(u; levels, data) = 0`` at free dofs and ``u = g`` at the others.

How it is solved is read off the form. If ``∂F/∂u`` does not depend on ``u``, it is linear; if no
derivative by ``u`` or by a level depends on any of them, it is affine. Then all operators are
matrices that are kept while they are the same. The adjoint of a step takes one solve with the
transpose of ``A = ∂F/∂u``, in which rows and columns of constrained dofs are those of the identity.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import ufl
from petsc4py import PETSc

from adjoint.steppers import aligned_zeros
from solvers.fenicsx.boundary import Boundary
from solvers.fenicsx.data import Data
from solvers.fenicsx.dofs import Array, load, owned_size, window_for
from solvers.fenicsx.forms import at_zero, depends_on, partial
from solvers.fenicsx.operators import Matrix, Multiplier, Residual, Vector
from solvers.petsc.integrators.ksp_snes import (
    MULTIGRID,
    RELATIVE_TOLERANCE,
    solve,
    solve_nonlinear,
    solve_transposed,
)

__all__ = ["Equation", "equation"]

NEWTON = {"rtol": 1e-12, "atol": 1e-13, "stol": 1e-9, "max_it": 25}
"""Default tolerances of Newton's method: see `ksp_snes.RELATIVE_TOLERANCE`."""

LAGGED = ("jacobian", "preconditioner")
"""What SNES may keep from one iteration to the next, or from one solve to the next."""

REPRODUCIBLE_ON_RANKS = ("bjacobi", "jacobi", "none", "pbjacobi", "redundant")
"""Preconditioners with the same bits each time on several ranks. Parallel factorisations, of MUMPS
or SuperLU_DIST, add up what ranks send in the order of its arrival."""


def equation(
    residual: Any,
    unknown: Any,
    previous: Sequence[Any],
    boundary: Boundary,
    data: Data,
    prefix: str,
) -> "Equation":
    """Return the equation of a step, of the kind that its form shows it to be. Collective.

    Parameters
    ----------
    residual
        ``F``, pinned; a form with one test function.
    unknown, previous
        The Functions of the new state and of the levels before it, newest first. There are no
        levels in the equation of an initial state.
    boundary, data
        The conditions, and what watches the rest that the form depends on.
    prefix
        Of PETSc's options.
    """
    trial = ufl.TrialFunction(unknown.function_space)
    by_unknown = partial(residual, unknown, trial)
    by_levels = [partial(residual, level, trial) for level in previous]
    given = (residual, unknown, previous, boundary, data, prefix, by_unknown)
    if unknown in depends_on(by_unknown):
        return NonlinearEquation(*given)
    if any(form is not None and data.uses_state(form) for form in (by_unknown, *by_levels)):
        return LinearEquation(*given)
    return AffineEquation(*given, by_levels)


class Equation:
    """The equation of a step. All methods are collective.

    The parameters are those of `equation`, and ``∂F/∂u`` as a form.
    """

    needs_states: bool = True
    """Whether `solve` reads the levels from their Functions, and writes the unknown to its own."""

    def __init__(
        self,
        residual: Any,
        unknown: Any,
        previous: Sequence[Any],
        boundary: Boundary,
        data: Data,
        prefix: str,
        by_unknown: Any,
    ) -> None:
        space = unknown.function_space
        self.residual, self.unknown, self.previous = residual, unknown, previous
        self.boundary, self.data = boundary, data
        self.multiplier = Multiplier(space)
        self.matrix = Matrix(by_unknown, data, eliminated=boundary)
        """``A``."""
        self.level_matrices: list[Matrix | None] = [None] * len(previous)
        """``-∂F/∂u_i`` for each level, where the equation is affine."""
        self._size = owned_size(space)
        self._array = unknown.x.array
        self._guess = self._array[: self._size].copy()
        self._right = aligned_zeros(self._size)
        self._right_window, self._solution_window = window_for(space), window_for(space)
        self._set_up(space, prefix)

    def _set_up(self, space: Any, prefix: str) -> None:
        """Make the solvers."""
        self.ksp: Any = PETSc.KSP().create(comm=space.mesh.comm)
        self.ksp.setOptionsPrefix(prefix)
        self.ksp.setOperators(self.matrix.mat)
        self._configure(space)
        self.ksp.setFromOptions()
        self._tolerances = self.ksp.getTolerances()

    def _configure(self, space: Any) -> None:
        """Set the defaults of the linear solver: a direct one."""
        self.ksp.setType("preonly")
        pc = self.ksp.getPC()
        pc.setType("lu")
        is_mixed = space.num_sub_spaces > 0 and space.dofmap.index_map_bs == 1
        if is_mixed or space.mesh.comm.size > 1:
            pc.setFactorSolverType("mumps")
        self.ksp.setTolerances(rtol=RELATIVE_TOLERANCE)

    @property
    def is_direct(self) -> bool:
        """Whether no first guess is made use of."""
        return self.ksp.getType() == "preonly"

    @property
    def reproducible(self) -> bool:
        """Whether the solvers give the same bits each time.

        Multigrid does not, nor do factorisations on several ranks.
        """
        kind = self.ksp.getPC().getType()
        if self.unknown.function_space.mesh.comm.size == 1:
            return kind not in MULTIGRID
        return kind in REPRODUCIBLE_ON_RANKS

    def solve(self, levels: Sequence[Array], out: Array, step: int | None) -> None:
        """Solve the equation.

        Parameters
        ----------
        levels
            The owned dofs of the levels, newest first. If `needs_states`, their Functions hold the
            same.
        out
            Receives the owned dofs of the solution. It may be the memory of the newest level.
        step
            The number of the step, for errors.

        Raises
        ------
        SolveError, NonFiniteError
            The solver did not converge.
        """
        raise NotImplementedError

    def transpose(self, w: Array, step: int | None) -> None:
        """Solve ``A^T λ = w`` with ``λ = 0`` at constrained dofs, for the multiplier.

        If `A` depends on states, their Functions hold those of the step.
        """
        self.matrix.renew()
        self.transpose_again(w, self.multiplier, step)

    def transpose_again(self, w: Array, multiplier: Multiplier, step: int | None) -> None:
        """Solve with the transpose of the present operator, for any multiplier."""
        self._right[:] = w
        self._right[self.boundary.owned] = 0
        right = self._right_window.on(self._right)
        with self._as_at_first():
            solve_transposed(self.ksp, right, multiplier.window.on(multiplier.owned), step, None)
        multiplier.owned[self.boundary.owned] = 0
        multiplier.function.x.scatter_forward()

    def solve_again(self, right: Array, out: Array, step: int | None) -> None:
        """Solve with the present operator for a tangent: another right-hand side, owned dofs."""
        self._right[:] = right
        window = self._right_window.on(self._right)
        with self._as_at_first():
            solve(self.ksp, window, self._solution_window.on(out), "the tangent", step, None)

    @contextmanager
    def _as_at_first(self) -> Generator[None, None, None]:
        """Let the linear solver be as it was configured: Newton's method may have changed it."""
        self.ksp.getPC().setReusePreconditioner(False)
        self.ksp.setTolerances(*self._tolerances)
        self.ksp.setInitialGuessNonzero(False)
        yield

    def lift(self) -> Matrix | None:
        """Return ``-∂F/∂u`` before rows and columns were eliminated; None if it is not kept."""
        return None

    def _guess_from(self, levels: Sequence[Array]) -> None:
        """Set the unknown to the first guess: the newest level, with the prescribed values."""
        load(self.unknown, levels[0] if levels else self._guess)
        self.boundary.impose(self._array)


class AffineEquation(Equation):
    """``A u = -(Σ B_i u_i + F(0) + A_full g)`` with ``B_i = ∂F/∂u_i``, without assembling a form.

    ``A_full`` is ``A`` before rows and columns were eliminated.
    """

    needs_states = False

    def __init__(self, *given: Any) -> None:
        *rest, by_levels = given
        super().__init__(*rest)
        boundary, data, by_unknown = self.boundary, self.data, rest[-1]
        self.level_matrices = [
            None if form is None else Matrix(form, data, negative=boundary) for form in by_levels
        ]
        at_rest = at_zero(self.residual, [self.unknown, *self.previous])
        self._at_rest = None if at_rest is None else Vector(at_rest, data)
        self._lift: Matrix | None = None
        self._by_unknown = by_unknown
        self._constant = aligned_zeros(self._size)
        space = self.unknown.function_space
        self._constant_window, self._level_window = window_for(space), window_for(space)
        self._constant_vector: Any = None
        holders = [] if at_rest is None else depends_on(at_rest)
        self._kept = data.kept(by_unknown, *holders, boundary)

    def solve(self, levels: Sequence[Array], out: Array, step: int | None) -> None:
        self.matrix.renew()
        right = total = self._without_levels()
        for matrix, level in zip(self.level_matrices, levels, strict=True):
            if matrix is not None:
                matrix.renew()
                right = self._right_window.on(self._right)
                matrix.mat.multAdd(self._level_window.on(level), total, right)
                total = right
        if not self.is_direct:
            if levels and out is not levels[0]:
                out[:] = levels[0]
            elif not levels:
                out[:] = self._guess
            out[self.boundary.owned] = self.boundary.values[self.boundary.owned]
            self.ksp.setInitialGuessNonzero(True)
        solve(self.ksp, right, self._solution_window.on(out), "the solve", step, None)

    def lift(self) -> Matrix:
        if self._lift is None:
            self._lift = Matrix(self._by_unknown, self.data, negative=self.boundary)
        return self._lift

    def _without_levels(self) -> Any:
        """Return what does not depend on the levels, and the values at constrained dofs."""
        if self._kept.is_stale():
            owned, values = self.boundary.owned, self.boundary.values[: self._size]
            self._constant[:] = 0 if self._at_rest is None else -self._at_rest.current()
            window = self._constant_window.on(self._constant)
            comm = self.unknown.function_space.mesh.comm
            if comm.allreduce(int(values.any())):
                lift = self.lift()
                lift.renew()
                lift.mat.multAdd(self._level_window.on(values), window, window)
            self._constant[owned] = values[owned]
            self._constant_vector = self._constant_window.on(self._constant)
            self._kept.renewed()
        return self._constant_vector


class _AssembledEquation(Equation):
    """An equation whose residual is assembled in every step."""

    def __init__(self, *given: Any) -> None:
        self._residual = Residual(given[0])
        super().__init__(*given)

    def _assemble(self) -> Array:
        """Return the residual at the unknown: owned dofs, overwritten by the next call."""
        found, owned = self._residual.assemble(), self.boundary.owned
        found[owned] = self._array[owned] - self.boundary.values[owned]
        return found


class LinearEquation(_AssembledEquation):
    """``A (u - guess) = -F(guess)``: one step of Newton's method."""

    def solve(self, levels: Sequence[Array], out: Array, step: int | None) -> None:
        self._guess_from(levels)
        self.matrix.renew()
        self._right[:] = self._assemble()
        self.ksp.setInitialGuessNonzero(False)
        right = self._right_window.on(self._right)
        solve(self.ksp, right, self._solution_window.on(out), "the solve", step, None)
        np.subtract(self._array[: self._size], out, out=out)
        load(self.unknown, out)


class NonlinearEquation(_AssembledEquation):
    """Solved by PETSc's SNES."""

    def _set_up(self, space: Any, prefix: str) -> None:
        self._options = PETSc.Options(prefix)
        self.snes: Any = PETSc.SNES().create(comm=space.mesh.comm)
        self.snes.setOptionsPrefix(prefix)
        self.snes.setFunction(self._function, self._right_window.on(self._right).duplicate())
        self.snes.setJacobian(self._jacobian, self.matrix.mat)
        self.snes.setType("newtonls")
        self.snes.getLineSearch().setType("basic")
        self.snes.setTolerances(**NEWTON)
        self.snes.setDivergenceTolerance(PETSc.UNLIMITED)
        self.ksp = self.snes.getKSP()
        self.ksp.setOperators(self.matrix.mat)
        self._configure(space)
        self.snes.setFromOptions()
        self._tolerances = self.ksp.getTolerances()

    @property
    def reproducible(self) -> bool:
        lags = [self._options.getInt(f"snes_lag_{what}", 1) for what in LAGGED]
        lasts = [self._options.getBool(f"snes_lag_{what}_persists", False) for what in LAGGED]
        return super().reproducible and min(lags) > 0 and not any(lasts)

    def solve(self, levels: Sequence[Array], out: Array, step: int | None) -> None:
        self._guess_from(levels)
        out[:] = self._array[: self._size]
        self.ksp.setInitialGuessNonzero(False)
        solve_nonlinear(self.snes, self._solution_window.on(out), "the solve", step, None)
        load(self.unknown, out)

    @contextmanager
    def _as_at_first(self) -> Generator[None, None, None]:
        adaptive = self.snes.getUseEW()  # which chooses a tolerance for each linear solve
        self.snes.setUseEW(False)
        with super()._as_at_first():
            yield
        self.snes.setUseEW(adaptive)

    def _function(self, snes: Any, x: Any, residual: Any) -> None:
        del snes
        load(self.unknown, x.array_r)
        residual.setArray(self._assemble())

    def _jacobian(self, snes: Any, x: Any, matrix: Any, preconditioner: Any) -> None:
        del snes, preconditioner
        load(self.unknown, x.array_r)
        self.matrix.renew()
        if matrix != self.matrix.mat:
            matrix.assemble()
