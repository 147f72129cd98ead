"""The backward differentiation formula of order 2, with variable steps.

With the ratio ``w = h_k / h_{k-1}`` of a step to the previous one, and the levels ``u`` and ``v``,
where ``v`` is the state before ``u``::

    F(t + h, X, s (X - Z), m) = 0
    s = (1 + 2 w) / ((1 + w) h),        Z = ((1 + w)^2 u - w^2 v) / (1 + 2 w)

(Hairer, Nørsett and Wanner 1993, III.5); for ``w = 1``, ``s = 3 / (2 h)`` and ``Z = (4 u - v) /
3``. The first step is backward Euler; its local error is of order 2, so the method keeps order 2.
The state holds both levels, ``u`` and ``previous``; the tape holds every level once. The first
guess of the next state is on the line through both levels, or ``u``: whichever leaves the smaller
residual.

*The transpose.* Let ``l`` and ``p`` be the adjoints of the levels. The result of a step is ``u`` of
the next step, and ``v`` of the one after::

    J^T w = l + h/2 dr/du,       q = s (dF/du')^T w
    l <- p + (1 + w)^2 / (1 + 2 w) q + h/2 dr/du,       p <- -w^2 / (1 + 2 w) q

The running cost is integrated by the trapezoidal rule, of order 2 as well.
"""

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from adjoint.steppers import Arrays
from solvers.petsc.integrators.base import PetscStepper
from solvers.petsc.integrators.stages import StagePoint, make_stage_solver
from solvers.petsc.integrators.tapes import Stages
from solvers.petsc.problem import Controls, Problem, Vec

__all__ = ["BDF2"]


class BDF2(PetscStepper):
    """BDF2 for a problem; parameters and errors as for `PetscStepper`.

    Raises
    ------
    StepperError
        The problem has no Jacobian, or as `PetscStepper`.
    """

    ends_in_last_stage = True
    num_stages = 1
    names = ("u", "previous")

    def __init__(
        self,
        problem: Problem,
        steps: ArrayLike,
        *,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        super().__init__(problem, steps, start_time=start_time, options_prefix=options_prefix)
        self._solver = make_stage_solver(problem, options_prefix)
        self.reproducible = self._solver.reproducible
        new = problem.template.duplicate
        self._base, self._rate, self._w, self._product = new(), new(), new(), new()

    def begin_run(self) -> None:
        self._solver.start()

    def begin_levels(self, state: Arrays) -> None:
        state["previous"][...] = state["u"]

    def fold_levels(self) -> None:
        self.adjoint_vector("u").axpy(1.0, self.adjoint_vector("previous"))

    def next_state(self, before: Arrays, stages: Stages) -> Arrays:
        return {"u": stages[-1], "previous": before["u"]}

    def take_step(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, *, with_cost: bool
    ) -> float:
        m, point = self.controls_of(k), self._point(k)
        u, x = self.window("state").on(before["u"]), self.window("stage").on(stages[0])
        self._find_base(k, u, before)
        x.waxpy(-1.0, self.window("previous").on(before["previous"]), u)
        x.aypx(self._ratio(k), u)
        self._solver.solve(point, self._base, x, other=u)
        half = 0.5 * self.steps.size(k)
        integral = self.running_cost(self.steps.time(k), u, m, half, with_cost=with_cost)
        integral += self.running_cost(point.time, x, m, half, with_cost=with_cost)
        if after is not None:
            u.copy(self.window("after").on(after["previous"]))
            x.copy(self.window("after").on(after["u"]))
        return integral

    def pull_back_step(
        self, k: int, before: Arrays, stages: Stages, m: Controls, gradient: Mapping[str, Any]
    ) -> None:
        point, half = self._point(k), 0.5 * self.steps.size(k)
        u, x = self.window("state").on(before["u"]), self.window("stage").on(stages[0])
        adjoint, previous = self.adjoint_vector("u"), self.adjoint_vector("previous")
        self.running_cost_vjp(point.time, x, m, half, adjoint, gradient)
        if self.needs_rates:
            self._find_base(k, u, before)
            self._rate.waxpy(-1.0, self._base, x)
            self._rate.scale(point.shift)
        w, product = self._w, self._product
        self._solver.solve_transposed(point, x, self._rate, adjoint, w)
        self.problem.stage_control_vjp(point.time, x, self._rate, m, w, gradient)
        self._solver.base_vjp(point, x, self._rate, w, adjoint, product)
        of_u, of_previous = self._base_weights(k)
        previous.copy(adjoint)
        adjoint.axpy(of_u, product)
        product.copy(previous)
        previous.scale(of_previous)
        self.running_cost_vjp(self.steps.time(k), u, m, half, adjoint, gradient)

    # -- inside -------------------------------------------------------------------------------

    def _ratio(self, k: int) -> float:
        """Return the ratio of step `k` to the previous one; for step 0, 0: backward Euler."""
        return self.steps.size(k) / self.steps.size(k - 1) if k > 0 else 0.0

    def _base_weights(self, k: int) -> tuple[float, float]:
        ratio = self._ratio(k)
        return (1 + ratio) ** 2 / (1 + 2 * ratio), -(ratio**2) / (1 + 2 * ratio)

    def _find_base(self, k: int, u: Vec, before: Arrays) -> None:
        of_u, of_previous = self._base_weights(k)
        u.copy(self._base)
        self._base.scale(of_u)
        self._base.axpy(of_previous, self.window("previous").on(before["previous"]))

    def _point(self, k: int) -> StagePoint:
        ratio = self._ratio(k)
        shift = (1 + 2 * ratio) / ((1 + ratio) * self.steps.size(k))
        return StagePoint(k, self.steps.time(k + 1), shift, self.controls_of(k))
