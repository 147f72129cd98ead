"""Theta methods, among them backward Euler and Crank-Nicolson.

A step ``h`` of ``M u' = f(t, u, m)``::

    M (u_next - u) / h = (1 - theta) f(t, u, m) + theta f(t + h, u_next, m)

with ``0 < theta <= 1``: backward Euler for 1, of order 1 and L-stable; Crank-Nicolson for 1/2, of
order 2. For a residual, ``f`` is ``-F(t, u, 0, m)``, which is consistent if ``dF/du'`` does not
depend on ``u``. With the shift ``s = 1 / (theta h)``, the base ``u`` and ``affine = -(1 - theta) /
theta f(t, u, m)`` this is the equation of one stage, whose solution is the next state. PETSc has
the same methods as ``-ts_type beuler``, ``cn`` and ``theta`` with endpoint. One-leg methods, such
as the implicit midpoint rule, are Runge-Kutta methods
(`solvers.petsc.integrators.tableaux.one_leg`).

*The transpose.* With the adjoint ``l`` of ``u_next``, including ``theta h dr/du`` from the running
cost::

    J^T w = l,        l <- s M^T w + (1 - theta) / theta (df/du)^T w + (1 - theta) h dr/du
    gradient += (df/dm)^T w  at the end of the step
             +  (1 - theta) / theta (df/dm)^T w  at its beginning

*The first guess* of the next state is the forward Euler step or the state, whichever leaves the
smaller residual: often that saves one of Newton's three iterations.

A step begins where the previous one ends: the Jacobian assembled there for ``(df/du)^T w`` is the
one that the previous step solves with, and is not assembled again.
"""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from adjoint.errors import ArgumentError
from adjoint.steppers import Arrays
from solvers.petsc.integrators.base import PetscStepper
from solvers.petsc.integrators.stages import StagePoint, make_stage_solver
from solvers.petsc.integrators.tapes import Stages
from solvers.petsc.problem import Controls, Problem, RhsProblem, Vec

__all__ = ["BackwardEuler", "CrankNicolson", "Theta"]

SMALL = 0.1
"""A forward Euler step that changes the state by more than this fraction is no guess: the equation
may not even be defined there."""


class Theta(PetscStepper):
    """A theta method for a problem.

    Parameters
    ----------
    problem, steps, start_time, options_prefix
        As for `PetscStepper`.
    theta
        Weight of the end of a step, in (0, 1].

    Raises
    ------
    ArgumentError
        `theta` is not in (0, 1], or as `PetscStepper`.
    StepperError
        The problem has no Jacobian, or as `PetscStepper`.
    """

    ends_in_last_stage = True
    num_stages = 1

    def __init__(
        self,
        problem: Problem,
        steps: ArrayLike,
        *,
        theta: float,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        if not 0 < theta <= 1:
            raise ArgumentError(
                f"theta={theta}: must be above 0 and at most 1; for explicit steps use RungeKutta"
            )
        self.theta = theta
        super().__init__(problem, steps, start_time=start_time, options_prefix=options_prefix)
        self._solver = make_stage_solver(problem, options_prefix)
        self.reproducible = self._solver.reproducible
        # Otherwise the slope is not that of the state, or the equation of a stage is linear.
        has_slope = isinstance(problem, RhsProblem) and problem.mass is None
        self._predicts = has_slope and not problem.constant_jacobian
        new = problem.template.duplicate
        self._slope, self._w, self._product, self._rate = new(), new(), new(), new()

    def identity(self) -> tuple[Any, ...]:
        return (self.steps.identity(), self.theta)

    def begin_run(self) -> None:
        self._solver.start()

    def take_step(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, *, with_cost: bool
    ) -> float:
        m = self.controls_of(k)
        begin, end = self._points(k, m)
        u, x = self.window("state").on(before["u"]), self.window("stage").on(stages[0])
        u.copy(x)
        slope, other = self._slope, None
        if self.theta < 1 or self._predicts:
            self.problem.slope(begin.time, u, m, slope)
        if self._predicts and self.steps.size(k) * slope.norm() < SMALL * u.norm():
            x.axpy(self.steps.size(k), slope)
            other = u
        slope.scale(-(1 - self.theta) / self.theta)
        self._solver.solve(end, u, x, slope if self.theta < 1 else None, other)
        weights = self._weights(k)
        integral = self.running_cost(begin.time, u, m, weights[0], with_cost=with_cost)
        integral += self.running_cost(end.time, x, m, weights[1], with_cost=with_cost)
        if after is not None:
            x.copy(self.window("after").on(after["u"]))
        return integral

    def pull_back_step(
        self, k: int, before: Arrays, stages: Stages, m: Controls, gradient: Mapping[str, Any]
    ) -> None:
        begin, end = self._points(k, m)
        u, x = self.window("state").on(before["u"]), self.window("stage").on(stages[0])
        adjoint, w, weights = self.adjoint_vector("u"), self._w, self._weights(k)
        self.running_cost_vjp(end.time, x, m, weights[1], adjoint, gradient)
        rate = self._rate_of(end, u, x)
        self._solver.solve_transposed(end, x, rate, adjoint, w)
        self.problem.stage_control_vjp(end.time, x, rate, m, w, gradient)
        self._solver.base_vjp(end, x, rate, w, adjoint, self._product)
        self._product.copy(adjoint)
        if self.theta < 1:
            w.scale((1 - self.theta) / self.theta)
            self.problem.slope_control_vjp(begin.time, u, m, w, gradient)
            self._solver.slope_state_vjp(begin, u, w, self._product)
            adjoint.axpy(1.0, self._product)
        self.running_cost_vjp(begin.time, u, m, weights[0], adjoint, gradient)

    def _points(self, k: int, m: Controls) -> tuple[StagePoint, StagePoint]:
        """Return the points at which step `k` begins and ends."""
        shift = 1 / (self.theta * self.steps.size(k))
        shared = not self.problem.per_step
        return (
            StagePoint(k, self.steps.time(k), shift, m, k if shared else None),
            StagePoint(k, self.steps.time(k + 1), shift, m, k + 1 if shared else None),
        )

    def _weights(self, k: int) -> tuple[float, float]:
        size = self.steps.size(k)
        return (1 - self.theta) * size, self.theta * size

    def _rate_of(self, end: StagePoint, u: Vec, x: Vec) -> Vec:
        if self.needs_rates:
            self._rate.waxpy(-1.0, u, x)
            self._rate.scale(end.shift)
        return self._rate


class BackwardEuler(Theta):
    """Backward Euler, of order 1; parameters as for `PetscStepper`."""

    def __init__(
        self,
        problem: Problem,
        steps: ArrayLike,
        *,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        super().__init__(
            problem, steps, theta=1.0, start_time=start_time, options_prefix=options_prefix
        )


class CrankNicolson(Theta):
    """Crank-Nicolson, of order 2; parameters as for `PetscStepper`."""

    def __init__(
        self,
        problem: Problem,
        steps: ArrayLike,
        *,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        super().__init__(
            problem, steps, theta=0.5, start_time=start_time, options_prefix=options_prefix
        )
