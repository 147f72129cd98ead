"""Single steps of a PETSc TS: taken for the first time, taken again bit for bit, and reversed.

``TSSolve`` and ``TSAdjointSolve`` take all steps at once; here they are taken one by one, in any
order, from restored states, and reversed from the stages that were kept. Three things make a step
that is taken again the same step, bit for bit:

*The same time and length.* A state carries its time, and the length with which the next step is
attempted. The step's own length is the one it was accepted with, which is recorded. If the first
attempt was rejected, PETSc does not return that length, and the difference of two times may be one
ulp off. Such a step is therefore taken once more with the difference as its length, and *that* is
the step of this run.

The step must also be accepted again, even if controls have changed since: while steps are taken
again, the tolerances of the error control are infinite.

*No memory of the previous step.* ``TSRestartStep`` discards it. A Runge-Kutta method whose last
stage is the first of the next step (3bs, PETSc's default, and 5dp, 5bs, 6vr) would otherwise begin
with a slope of another state: PETSc's own stride checkpointing had errors of up to 4e-3 in its
gradients from this. The slope is reused only if it has the bits of a newly evaluated one: among
these methods only in 3bs, where PETSc sums the stages in the same order for the last stage and for
the step. The adjoint step does not use the last stage of such a method, so a right-hand side in
Python is not evaluated for it when a step is taken again that no other step follows.
"""

from array import array
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from solvers.petsc.accepted_steps import AcceptedSteps
from solvers.petsc.errors import ts_diverged, ts_failed
from solvers.petsc.library import PETSc, call
from solvers.petsc.ts.hooks import Hooks
from solvers.petsc.ts.inertia import EVERY, Inertia, has_endpoint
from solvers.petsc.ts.last_stage import LastStage
from solvers.petsc.ts.linear_solves import as_accurate_as_newton
from solvers.petsc.ts.stages import Stages

__all__ = ["StepCost", "StepCostVjp", "Steps"]

TS = Any
Vec = Any
StepCost = Callable[[Any, int, float, Any], float]
StepCostVjp = Callable[[Any, int, float, Any, Any, NDArray[Any] | None], None]

CARRIES_DERIVATIVE = ("3bs",)
"""Runge-Kutta methods that may reuse the last stage of the previous step: see above."""

INFINITE_TOLERANCE = 1e200
"""A tolerance that accepts every finite error, with room for products with it in PETSc's norms."""


class Steps:
    """Takes and reverses the steps of a TS whose solution is `u`.

    Parameters
    ----------
    ts
        A TS that is set up, with its adjoint, and without a trajectory.
    u
        The solution; `values` is the memory of this rank's part.
    stages
        Those of `ts`.
    step_cost, step_cost_vjp
        See `solvers.petsc.ts.stepper.TSStepper`.
    rejects
        Whether attempts at a step may be rejected.
    """

    def __init__(
        self,
        ts: TS,
        u: Vec,
        values: NDArray[Any],
        stages: Stages,
        *,
        step_cost: StepCost | None,
        step_cost_vjp: StepCostVjp | None,
        rejects: bool,
    ) -> None:
        self.accepted = AcceptedSteps()
        self.first = ts.getTime(), ts.getTimeStep()
        self.clock = np.array(self.first)
        """Part of the state: its time, and the length with which the next step is attempted."""
        self.position = 0
        self.last = self.first
        """Time and length of the step taken last."""
        self._monitored = 0
        """The monitors have been called for the steps before this one."""
        self._proposed = array("d")
        self._ts = ts
        self._u = u
        self._values = values
        self._stages = stages
        self._step_cost = step_cost
        self._step_cost_vjp = step_cost_vjp
        self._end = ts.getMaxSteps(), ts.getMaxTime()
        self._hooks = Hooks(ts, u)
        self._inertia = Inertia(ts, u) if stages.has_rate and has_endpoint(ts) else None
        self._implicit = ts.getType() != "rk"
        self._carrying = _method(ts) in CARRIES_DERIVATIVE
        self._last_stage = LastStage.install(ts, _method(ts))
        self._kept = u.duplicate() if rejects else None
        self._tolerances = ts.getTolerances() if rejects else None
        self._any_error = False
        quadrature = ts.getQuadratureTS()[1]
        self._integral = quadrature.getSolution() if quadrature else None

    @property
    def finished(self) -> bool:
        """Whether the TS is at its maximum time or number of steps."""
        return self.position >= self._end[0] or self._ts.getTime() >= self._end[1]

    @property
    def _carries(self) -> bool:
        """Whether a step may begin with the last slope of the previous one."""
        return self._carrying and not self._hooks.sets_equation

    @property
    def ended(self) -> bool:
        """Whether the TS has finished and no accepted step remains to be taken."""
        return self.finished and self.position >= len(self.accepted)

    # -- position -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a run: the solution is its initial state."""
        self.accepted.discard_new()
        del self._proposed[:]
        self._monitored = 0
        self._hooks.begin()
        if self._inertia is not None:
            self._inertia.begin()
        self.clock[:] = self.first
        self.place(0)

    def rewind(self) -> None:
        """Reset the time of the TS to that at construction."""
        self._ts.setTime(self.first[0])
        self._ts.setTimeStep(self.first[1])
        self._ts.setStepNumber(0)
        self._accept_any_error(False)

    def place(self, step: int) -> None:
        """Set the TS to `step`, whose solution and clock have been restored."""
        ts = self._ts
        ts.setTime(self.clock[0])
        ts.setTimeStep(self.clock[1])
        ts.setStepNumber(step)
        ts.restartStep()
        # NumPy wrote the memory: without this PETSc would reuse a Jacobian of the old state.
        self._u.stateIncrease()
        self.position = step

    # -- forward ------------------------------------------------------------------------------

    def advance(self, stop: int, cost: float | None, *, is_last: bool = False) -> float | None:
        """Take steps up to `stop`, or to the end of the TS; return the running total.

        Collective. Monitors are called the first time that the cost of a step is wanted, as in
        ``TSSolve``. If `is_last`, the solution will be restored before another step is taken.

        Raises
        ------
        StepperError
            PETSc failed, or a hook changed the solution.
        SolveError, NonFiniteError
            A step diverged, or PETSc computed a number that is not finite. The message has PETSc's
            reason, the step and the time.
        """
        try:
            while self.position < stop:
                if self.position < len(self.accepted):
                    cost = self._repeat(cost, is_last=is_last)
                elif self.finished:
                    break
                else:
                    cost = self._new(cost)
        except PETSc.Error as error:
            raise ts_failed(self._ts, error) from None
        return cost

    def _new(self, cost: float | None) -> float | None:
        ts, k = self._ts, self.position
        time = ts.getTime()
        self._accept_any_error(False)
        if cost is not None:
            cost = self._begin_cost(k, time, cost)
        self._hooks.before_step()
        if not (self._carries or self._implicit):
            ts.restartStep()
        size, rejected = ts.getTimeStep(), ts.getStepRejections()
        if self._kept is not None:
            self._u.copy(self._kept)
        total = self._take(k, cost)
        if ts.getStepRejections() != rejected or ts.getTime() != time + size:
            size, total = self._settle(k, time, cost)
        self.last = time, size
        if k == len(self.accepted):
            self.accepted.add(time, size)
            self._proposed.append(ts.getTimeStep())
        self._stepped(k)
        return total

    def _repeat(self, cost: float | None, *, is_last: bool) -> float | None:
        ts, k = self._ts, self.position
        time, size = self.last = self.accepted[k]
        self._accept_any_error(True)
        if cost is not None:
            cost = self._begin_cost(k, time, cost)
        self._hooks.before_step()
        ts.setTimeStep(size)
        if not self._carries:
            ts.restartStep()
        unused = self._last_stage if is_last else None
        with nullcontext() if unused is None else unused.skipped():
            cost = self._take(k, cost)
        self._check_accepted(k, time, size)
        self._stepped(k)
        return cost

    def _stepped(self, k: int) -> None:
        """Update position and clock after step `k`."""
        self.position = k + 1
        index = k - self.accepted.num_prescribed
        if 0 <= index < len(self._proposed):
            size = self._proposed[index]
        elif k + 1 < len(self.accepted):
            size = self.accepted[k + 1][1]
        else:
            size = self._ts.getTimeStep()
        self.clock[:] = self._ts.getTime(), size
        self._ts.setTimeStep(size)
        self._hooks.after_step(k)
        self.clock[1] = self._ts.getTimeStep()

    def monitor_end(self) -> None:
        """Call the monitors at the end of the run, as ``TSSolve`` does."""
        self._ts.monitor(self.position, self._ts.getTime(), self._u)
        if self._inertia is not None:
            self._inertia.check(self.position)

    def _begin_cost(self, k: int, time: float, cost: float) -> float:
        if k >= self._monitored:
            self._ts.monitor(k, time, self._u)
            if self._inertia is not None and k % EVERY == 0:
                self._inertia.check(k)
            self._monitored = k + 1
        if self._step_cost is not None:
            cost += self._step_cost(self._ts, k, time, self._u)
        return cost

    def _take(self, k: int, cost: float | None) -> float | None:
        """Take one step, and integrate the quadrature over it."""
        ts, integral = self._ts, self._integral
        ts.step()
        if ts.getConvergedReason() < 0:
            raise ts_diverged(ts, "the step diverged")
        if cost is None or integral is None:
            return cost
        integral.set(cost)
        ts.setStepNumber(k)  # which the integrand sees, as in TSSolve
        call("TSForwardCostIntegral", ts.handle)
        ts.setStepNumber(k + 1)
        return float(integral.getArray(readonly=True)[0])

    def _settle(self, k: int, time: float, cost: float | None) -> tuple[float, float | None]:
        """Take a step accepted after a rejection once more, with a known length; return it."""
        ts = self._ts
        if self._kept is None:
            raise StepperError(
                f"PETSc rejected an attempt at step {k}, at time {time}, although -ts_adapt_type "
                "is none: remove that option, so that the step can be taken again"
            )
        size, proposed = ts.getTime() - time, ts.getTimeStep()
        self._kept.copy(self._u)
        ts.setTime(time)
        ts.setTimeStep(size)
        ts.setStepNumber(k)
        ts.restartStep()
        self._accept_any_error(True)
        total = self._take(k, cost)
        self._check_accepted(k, time, size)
        ts.setTimeStep(proposed)
        return size, total

    def _accept_any_error(self, wanted: bool) -> None:
        """Make the tolerances of the error control infinite, or restore them."""
        if self._tolerances is None or wanted == self._any_error:
            return
        self._any_error = wanted
        given = {"rtol": self._tolerances[0], "atol": self._tolerances[1]}
        if wanted:
            given = {name: _unlimited(tolerance) for name, tolerance in given.items()}
        self._ts.setTolerances(**given)

    def _check_accepted(self, k: int, time: float, size: float) -> None:
        if self._ts.getTime() != time + size:
            raise StepperError(
                f"step {k} of length {size}, at time {time}, was rejected when taken again: its "
                "solver fails now, or a callback depends on more than state and time"
            )

    # -- reverse ------------------------------------------------------------------------------

    def pull_back(
        self,
        k: int,
        step: tuple[float, float],
        before: NDArray[Any],
        stages: Sequence[NDArray[Any]],
        adjoint: Vec,
        gradient: NDArray[Any] | None,
    ) -> None:
        """Pull the adjoint back over step `k`, and the solution from the state after it.

        Collective. `step` is its time and length, `before` the state before it, and `stages` what
        `Stages.save` kept. PETSc adds the gradient of the parameters to the TS's own vector. Raises
        as `advance`.
        """
        ts, (time, size) = self._ts, step
        try:
            if self._hooks.sets_equation:
                after = self._values.copy()
                self._set(k, step, before)
                self._hooks.before_reversal(self._values)
                self._values[...] = after
            self._u.stateIncrease()
            self._stages.load(size, before, stages)
            ts.setTime(time + size)
            ts.setTimeStep(-size)
            ts.setStepNumber(k + 1)
            with as_accurate_as_newton(ts):
                ts.adjointStep()
            if ts.getConvergedReason() < 0:
                raise ts_diverged(ts, "the transposed system was not solved")
            self._set(k, step, before)
            if self._step_cost_vjp is not None:
                self._step_cost_vjp(ts, k, time, self._u, adjoint, gradient)
        except PETSc.Error as error:
            raise ts_failed(self._ts, error) from None

    def _set(self, k: int, step: tuple[float, float], before: NDArray[Any]) -> None:
        """Set the TS to the beginning of step `k`."""
        self._values[...] = before
        self._u.stateIncrease()
        self._ts.setTime(step[0])
        self._ts.setTimeStep(step[1])
        self._ts.setStepNumber(k)


def _unlimited(tolerance: Any) -> Any:
    if not isinstance(tolerance, PETSc.Vec):
        return INFINITE_TOLERANCE
    vector = tolerance.duplicate()
    vector.set(INFINITE_TOLERANCE)
    return vector


def _method(ts: TS) -> str | None:
    return ts.getRKType() if ts.getType() == "rk" else None
