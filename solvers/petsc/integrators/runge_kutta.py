"""Runge-Kutta methods, explicit and diagonally implicit, given by their tableaux.

Stage ``i`` of a step ``h`` from ``u`` has the base ``Z_i = u + h sum_{j<i} a_ij K_j``. It is
explicit if ``a_ii = 0``; else it solves an equation with the shift ``s = 1 / (h a_ii)``::

    explicit:   F(t + c_i h, X_i, K_i, m) = 0,     X_i = Z_i
    implicit:   F(t + c_i h, X_i, K_i, m) = 0,     K_i = s (X_i - Z_i)

    u_next = u + h sum_i b_i K_i

For a stiffly accurate method ``u_next = X_s``, which is the same up to round-off, and preserves
constraints. The running cost is integrated with the weights ``b_i`` at the stages, like another
component of ``u``.

*The transpose* is a Runge-Kutta method of the same order for the adjoint equation (Hager 2000,
doi:10.1007/s002110000178). Let ``l`` be the adjoint of ``u_next``, ``k_i`` that of ``K_i`` and
``z_i`` that of ``Z_i``. From the last stage to the first::

    k_i = h b_i l + sum_{j>i} h a_ji z_j
    explicit:   (dF/du')^T w = k_i,            z_i = -(dF/du)^T w + h b_i dr/du
    implicit:   J^T w = s k_i + h b_i dr/du,       z_i = s (dF/du')^T w - s k_i
    gradient -= (dF/dm)^T w,                       l <- l + sum_i z_i

For a stiffly accurate method ``l`` enters as the adjoint of ``X_s`` instead.

A last stage that serves only the error estimate (first same as last) is not computed. The next step
evaluates its first stage from its own state, so that it can be taken again from that state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from adjoint.steppers import Arrays
from solvers.petsc.integrators.base import PetscStepper
from solvers.petsc.integrators.slopes import MassSolver, RateSolver
from solvers.petsc.integrators.stages import StagePoint, make_stage_solver
from solvers.petsc.integrators.tableaux import Tableau, check_tableau
from solvers.petsc.integrators.tapes import Stages
from solvers.petsc.integrators.time_steps import TimeSteps
from solvers.petsc.problem import Controls, Problem, ResidualProblem, RhsProblem, Vec

__all__ = ["RungeKutta"]


class RungeKutta(PetscStepper):
    """A Runge-Kutta method for a problem.

    Parameters
    ----------
    problem, steps, start_time, options_prefix
        As for `PetscStepper`.
    tableau
        The method: one of `solvers.petsc.tableaux`, or your own.

    Raises
    ------
    ArgumentError
        `tableau` is not a `Tableau`; a name, for example.
    StepperError
        The method has implicit stages and the problem no Jacobian; or explicit ones, and the
        problem is a residual whose Jacobian is matrix-free. Or as `PetscStepper`.
    """

    def __init__(
        self,
        problem: Problem,
        steps: ArrayLike | TimeSteps,
        tableau: Tableau,
        *,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        check_tableau(tableau)
        self.tableau = tableau
        self.ends_in_last_stage = tableau.stiffly_accurate
        # An explicit first stage is the state before the step.
        self._first_is_state = tableau.a[0, 0] == 0
        self.num_stages = tableau.num_needed - self._first_is_state
        super().__init__(problem, steps, start_time=start_time, options_prefix=options_prefix)
        self._implicit = None if tableau.explicit else make_stage_solver(problem, options_prefix)
        self._mass: MassSolver | None = None
        self._rates: RateSolver | None = None
        if not np.diag(tableau.a).all():
            self._prepare_explicit_stages()
        solvers = (self._implicit, self._rates)
        self.reproducible = all(solver is None or solver.reproducible for solver in solvers)
        new = problem.template.duplicate
        self._slopes = [new() for _ in tableau.b]
        self._base_adjoints = [new() for _ in range(tableau.num_needed)]
        self._base, self._rate, self._slope_adjoint = new(), new(), new()
        self._right, self._w, self._product = new(), new(), new()

    def identity(self) -> tuple[Any, ...]:
        return (self.steps.identity(), self.tableau.a.tobytes(), self.tableau.b.tobytes())

    def begin_run(self) -> None:
        if self._implicit is not None:
            self._implicit.start()

    def take_step(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, *, with_cost: bool
    ) -> float:
        begin, size = self.steps.time(k), self.steps.size(k)
        integral = self.take_stages(k, begin, size, before, stages, with_cost=with_cost)
        if after is not None:
            self.end_step(size, before, stages, after)
        return integral

    def take_stages(
        self,
        k: int,
        begin: float,
        size: float,
        before: Arrays,
        stages: Stages,
        *,
        with_cost: bool,
    ) -> float:
        """Compute the stages that the result needs; return the integral of the running cost."""
        u, m = self.window("state").on(before["u"]), self.controls_of(k)
        integral, x = 0.0, u
        for i in range(self.tableau.num_needed):
            x, guess = self.stage_vector(i, u, stages), x
            point = self.point(k, i, begin, size, m)
            self.take_stage(i, point, size, u, x, guess)
            weight = size * float(self.tableau.b[i])
            integral += self.running_cost(point.time, x, m, weight, with_cost=with_cost)
        return integral

    def take_stage(
        self, i: int, point: StagePoint, size: float, u: Vec, x: Vec, guess: Vec
    ) -> None:
        """Compute stage `i` and its slope; `guess` is the first guess of an implicit stage."""
        slope = self._slopes[i]
        row = self.tableau.a[i]
        if row[i] == 0:
            if x is not u:
                self._combine(x, u, size, row[:i])
            self._explicit_slope(point, x, slope)
            return
        self._combine(self._base, u, size, row[:i])
        if guess is not x:
            guess.copy(x)
        assert self._implicit is not None
        self._implicit.solve(point, self._base, x)
        slope.waxpy(-1.0, self._base, x)
        slope.scale(point.shift)

    def end_step(self, size: float, before: Arrays, stages: Stages, after: Arrays) -> None:
        """Write the state after the step."""
        result = self.window("after").on(after["u"])
        if self.ends_in_last_stage:
            self.window("stage").on(stages[-1]).copy(result)
        else:
            u = self.window("state").on(before["u"])
            self._combine(result, u, size, self.tableau.b, in_place=after is before)

    def pull_back_step(
        self, k: int, before: Arrays, stages: Stages, m: Controls, gradient: Mapping[str, Any]
    ) -> None:
        begin, size = self.steps.time(k), self.steps.size(k)
        u, adjoint = self.window("state").on(before["u"]), self.adjoint_vector("u")
        if self.needs_rates:
            self._find_slopes(k, begin, size, u, stages, m)
        for i in reversed(range(self.tableau.num_needed)):
            x, point = self.stage_vector(i, u, stages), self.point(k, i, begin, size, m)
            self._gather_slope_adjoint(i, size, adjoint)
            weight = size * float(self.tableau.b[i])
            if self.tableau.a[i, i] == 0:
                self._pull_back_explicit(i, point, x, weight, gradient)
            else:
                self._pull_back_implicit(i, point, x, weight, adjoint, gradient)
        if self.ends_in_last_stage:
            adjoint.set(0.0)
        adjoint.maxpy([1.0] * len(self._base_adjoints), self._base_adjoints)

    # -- stages -------------------------------------------------------------------------------

    def point(self, k: int, i: int, begin: float, size: float, m: Controls) -> StagePoint:
        """Return where stage `i` of step `k` is."""
        diagonal = float(self.tableau.a[i, i])
        shift = 1 / (size * diagonal) if diagonal else 0.0
        return StagePoint(k, begin + float(self.tableau.c[i]) * size, shift, m)

    def stage_vector(self, i: int, u: Vec, stages: Stages) -> Vec:
        """Return stage `i`, which may be the state before the step."""
        if i == 0 and self._first_is_state:
            return u
        # A stage and the previous one, its first guess, are in use at once: two windows.
        return self.window(f"stage {i}").on(stages[i - self._first_is_state])

    def _combine(
        self,
        result: Vec,
        u: Vec,
        size: float,
        weights: Sequence[float] | np.ndarray[Any, Any],
        *,
        in_place: bool = False,
    ) -> None:
        """Write ``u + size sum weights_j K_j``."""
        if not in_place:
            u.copy(result)
        self.add_slopes(result, size, weights)

    def add_slopes(
        self, result: Vec, size: float, weights: Sequence[float] | np.ndarray[Any, Any]
    ) -> None:
        """Add ``size sum weights_j K_j``."""
        used = [j for j, weight in enumerate(weights) if weight != 0]
        if used:
            factors = [size * float(weights[j]) for j in used]
            result.maxpy(factors, [self._slopes[j] for j in used])

    def _explicit_slope(self, point: StagePoint, x: Vec, slope: Vec) -> None:
        if self._rates is not None:
            self._rates.solve(point, x, slope)
            return
        assert self._mass is not None
        if self._mass.is_identity:
            self.problem.slope(point.time, x, point.controls, slope)
        else:
            self.problem.slope(point.time, x, point.controls, self._product)
            self._mass.solve(point, self._product, slope)

    def _prepare_explicit_stages(self) -> None:
        problem = self.problem
        if isinstance(problem, ResidualProblem):
            self._rates = RateSolver(problem, self.options_prefix)
            return
        assert isinstance(problem, RhsProblem)
        if not problem.has("rhs_state_vjp"):
            problem.require_matrix("an explicit method without rhs_state_vjp")
        self._mass = MassSolver(problem, self.options_prefix)

    def _find_slopes(
        self, k: int, begin: float, size: float, u: Vec, stages: Stages, m: Controls
    ) -> None:
        """Recompute the slopes from the stages."""
        for i in range(self.tableau.num_needed):
            row, slope = self.tableau.a[i], self._slopes[i]
            x, point = self.stage_vector(i, u, stages), self.point(k, i, begin, size, m)
            if row[i] == 0:
                self._explicit_slope(point, x, slope)
                continue
            self._combine(self._base, u, size, row[:i])
            slope.waxpy(-1.0, self._base, x)
            slope.scale(point.shift)

    def _gather_slope_adjoint(self, i: int, size: float, adjoint: Vec) -> None:
        """Compute ``k_i``, the adjoint of the slope of stage `i`."""
        total = self._slope_adjoint
        total.set(0.0)
        weights, vectors = [], []
        if self.tableau.b[i] != 0 and not self.ends_in_last_stage:
            weights, vectors = [size * float(self.tableau.b[i])], [adjoint]
        for j in range(i + 1, self.tableau.num_needed):
            if self.tableau.a[j, i] != 0:
                weights.append(size * float(self.tableau.a[j, i]))
                vectors.append(self._base_adjoints[j])
        if weights:
            total.maxpy(weights, vectors)

    def _pull_back_explicit(
        self, i: int, point: StagePoint, x: Vec, weight: float, gradient: Mapping[str, Any]
    ) -> None:
        problem, m, out = self.problem, point.controls, self._base_adjoints[i]
        if self._rates is not None:
            rate, w = self._slopes[i], self._w
            self._rates.solve_transposed(point, x, rate, self._slope_adjoint, w)
            problem.stage_control_vjp(point.time, x, rate, m, w, gradient)
            self._rates.state_vjp(point, x, rate, w, out)
            self.running_cost_vjp(point.time, x, m, weight, out, gradient)
            return
        assert self._mass is not None
        w = self._slope_adjoint
        if not self._mass.is_identity:
            w = self._w
            self._mass.solve_transposed(point, self._slope_adjoint, w)
        problem.slope_control_vjp(point.time, x, m, w, gradient)
        if self._implicit is None:
            problem.slope_state_vjp(point.time, x, m, w, out)
        else:
            self._implicit.slope_state_vjp(point, x, w, out)
        self.running_cost_vjp(point.time, x, m, weight, out, gradient)

    def _pull_back_implicit(
        self,
        i: int,
        point: StagePoint,
        x: Vec,
        weight: float,
        adjoint: Vec,
        gradient: Mapping[str, Any],
    ) -> None:
        problem, m, right, w = self.problem, point.controls, self._right, self._w
        self._slope_adjoint.copy(right)
        right.scale(point.shift)
        if self.ends_in_last_stage and i == self.tableau.num_needed - 1:
            right.axpy(1.0, adjoint)
        self.running_cost_vjp(point.time, x, m, weight, right, gradient)
        assert self._implicit is not None
        rate, out = self._slopes[i], self._base_adjoints[i]
        self._implicit.solve_transposed(point, x, rate, right, w)
        problem.stage_control_vjp(point.time, x, rate, m, w, gradient)
        self._implicit.base_vjp(point, x, rate, w, right, out)
        out.axpy(-point.shift, self._slope_adjoint)
