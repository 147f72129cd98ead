"""The steps of a PETSc TS, one by one: new ones, the same ones again, and back.

What TS does in one go, `TSSolve` and then `TSAdjointSolve`, is here done a step at a time, in any
order, from states that are given back. Three things make a step that is taken again the same step,
bit for bit:

*Its time and size.* A state carries its time, and the size that the step from it is tried with. The
size that counts is the one the step was accepted with, which is noted. PETSc does not tell it where
the first attempt was rejected; the difference of two times may be an ulp off. So such a step is
taken once more, with that difference as its size, and *that* is the step of this run.

It must also be accepted again, whatever the controls are meanwhile: the tolerances of the error
control are infinite while steps are taken again.

*No memory of the step before.* `TSRestartStep` makes a method forget it. A Runge-Kutta method whose
last stage is the first of the next step (3bs, PETSc's default, and 5dp, 5bs, 6vr) would otherwise
begin with a derivative that belongs to another state: errors up to 4e-3 were seen in gradients of
PETSc's own stride checkpointing. Where the derivative that is carried over has the bits of one
evaluated anew, it is carried over: of the methods above only in 3bs, whose sums of stages PETSc
adds up in the same order for the last stage and for the step. The adjoint step knows nothing of the
last stage of such a method, which is the solution: a right-hand side in Python is not evaluated for
it where a step is taken to be reversed.

*Hooks.* The pre-step and post-step functions of a TS are not part of `TSStep`. They are called
here. A hook may set what the equation needs at a step, from time and step number alone: it is
called whenever the step is taken; the pre-step one also before the step is reversed. It must not
change the solution, because PETSc does not differentiate it.
"""

import sys
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from adjoint.errors import StepperError
from solvers.petsc.accepted_steps import AcceptedSteps
from solvers.petsc.errors import ts_diverged, ts_failed
from solvers.petsc.ts.last_stage import LastStage

__all__ = ["StepCost", "StepCostVjp", "Steps"]

TS = Any
Vec = Any
StepCost = Callable[[Any, int, float, Any], float]
StepCostVjp = Callable[[Any, int, float, Any, Any, NDArray[Any] | None], None]

CARRIES_DERIVATIVE = ("3bs",)
"""Runge-Kutta methods that may go on from the last stage of the step before: see above."""

INFINITE_TOLERANCE = 1e200
"""A tolerance that every error meets."""


class Steps:
    """Takes and reverses the steps of a TS whose solution is in `u`.

    Parameters
    ----------
    ts
        Set up, with its adjoint, and without a trajectory.
    u
        Its solution; `values` is the memory of this rank's part.
    step_cost, step_cost_vjp
        See `solvers.petsc.ts.stepper.TSStepper`.
    rejects
        Whether an attempt at a step may be rejected.
    """

    def __init__(
        self,
        ts: TS,
        u: Vec,
        values: NDArray[Any],
        *,
        step_cost: StepCost | None,
        step_cost_vjp: StepCostVjp | None,
        rejects: bool,
    ) -> None:
        self.accepted = AcceptedSteps()
        self.first = ts.getTime(), ts.getTimeStep()
        self.clock = np.array(self.first)
        """The time of the state, and the size that the step from it is tried with: part of it."""
        self.position = 0
        self._proposed = array("d")
        self._last_size = self.first[1]
        self._ts = ts
        self._u = u
        self._values = values
        self._step_cost = step_cost
        self._step_cost_vjp = step_cost_vjp
        self._end = ts.getMaxSteps(), ts.getMaxTime()
        self._hooks = ts.getPreStep(), ts.getPostStep()
        self._hooked = self._hooks != (None, None)
        self._implicit = ts.getType() != "rk"
        self._carries = not self._hooked and _method(ts) in CARRIES_DERIVATIVE
        self._last_stage = LastStage.put_into(ts, _method(ts))
        self._kept = u.duplicate() if rejects else None
        self._tolerances = ts.getTolerances() if rejects else None
        self._any_error = False
        self._part = u.duplicate() if step_cost is not None else None
        quadrature = ts.getQuadratureTS()[1]
        self._integral = quadrature.getSolution() if quadrature else None

    @property
    def finished(self) -> bool:
        """Whether the TS is at its maximum time or number of steps."""
        return self.position >= self._end[0] or self._ts.getTime() >= self._end[1]

    @property
    def ended(self) -> bool:
        """Whether no further step is known, and none is to be taken."""
        return self.finished and self.position >= len(self.accepted)

    # -- placing ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Note that the solution is the initial state of a new run."""
        self.accepted.discard_new()
        del self._proposed[:]
        self.clock[:] = self.first
        self.place(0)

    def rewind(self) -> None:
        """Leave the TS at the time that it was given with."""
        self._ts.setTime(self.first[0])
        self._ts.setTimeStep(self.first[1])
        self._ts.setStepNumber(0)
        self._accept_any_error(False)

    def place(self, step: int) -> None:
        """Note that solution and clock have been made those at `step`."""
        ts = self._ts
        ts.setTime(self.clock[0])
        ts.setTimeStep(self.clock[1])
        ts.setStepNumber(step)
        ts.restartStep()
        # The memory was written to behind PETSc's back, which reuses a Jacobian of the same state.
        self._u.stateIncrease()
        self.position = step

    # -- forward ------------------------------------------------------------------------------

    def advance(self, stop: int, cost: float | None) -> float | None:
        """Take steps up to `stop`, or to the end of the TS; return the running total.

        Collective. Monitors are called where a cost is wanted: when steps are taken for the first
        time, as `TSSolve` would.

        Raises
        ------
        StepperError
            PETSc failed, or a hook changed the solution.
        NonFiniteError
            A step diverged: with PETSc's reason, the step and its time.
        """
        try:
            while self.position < stop:
                if self.position < len(self.accepted):
                    cost = self._repeat(cost)
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
        if self._hooked:
            self._call(0)
        if not (self._carries or self._implicit):
            ts.restartStep()
        size, rejected = ts.getTimeStep(), ts.getStepRejections()
        if self._kept is not None:
            self._u.copy(self._kept)
        total = self._take(k, cost)
        if ts.getStepRejections() != rejected or ts.getTime() != time + size:
            size, total = self._settle(k, time, cost)
        self._last_size = size
        if k == len(self.accepted):
            self.accepted.add(time, size)
            self._proposed.append(ts.getTimeStep())
        self._stepped(k)
        return total

    def _repeat(self, cost: float | None) -> float | None:
        ts, k = self._ts, self.position
        time, size = self.accepted[k]
        self._accept_any_error(True)
        if cost is not None:
            cost = self._begin_cost(k, time, cost)
        if self._hooked:
            self._call(0)
        ts.setTimeStep(size)
        if not self._carries:
            ts.restartStep()
        cost = self._take(k, cost)
        self._check_accepted(k, time, size)
        self._stepped(k)
        return cost

    def _stepped(self, k: int) -> None:
        """Note that the solution is now that after step `k`."""
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
        if self._hooked:
            self._call(1)
            self.clock[1] = self._ts.getTimeStep()

    def watch(self) -> None:
        """Call the monitors at the end of the run, as `TSSolve` would."""
        if self._integral is None:
            self._ts.monitor(self.position, self._ts.getTime(), self._u)

    def _begin_cost(self, k: int, time: float, cost: float) -> float:
        if self._integral is None:
            self._ts.monitor(k, time, self._u)
        if self._step_cost is not None:
            cost += self._step_cost(self._ts, k, time, self._u)
        return cost

    def _take(self, k: int, cost: float | None) -> float | None:
        """Take one step; only `TSSolve` evaluates the integral of a quadrature."""
        ts = self._ts
        if cost is None or self._integral is None:
            ts.step()
        else:
            cost = self._solve(k, cost)
        if ts.getConvergedReason() < 0:
            raise ts_diverged(ts, "the step diverged")
        return cost

    def _solve(self, k: int, cost: float) -> float:
        """Take one step with its quadrature, which begins with the running total."""
        ts, integral = self._ts, self._integral
        assert integral is not None
        integral.set(cost)
        ts.setMaxSteps(k + 1)
        if ts.getTime() + ts.getTimeStep() > self._end[1]:
            # Else the solution would be interpolated to the maximum time afterwards.
            ts.setMaxTime(sys.float_info.max)
        if self._hooked:
            ts.setPreStep(None)
            ts.setPostStep(None)
        try:
            # Without a vector the solution stays where it is.
            ts.solve(PETSc.Vec())
        finally:
            ts.setMaxSteps(self._end[0])
            ts.setMaxTime(self._end[1])
            for set_hook, hook in zip((ts.setPreStep, ts.setPostStep), self._hooks, strict=True):
                if hook is not None:
                    set_hook(*hook)
        return float(integral.getArray(readonly=True)[0])

    def _settle(self, k: int, time: float, cost: float | None) -> tuple[float, float | None]:
        """Take a step that was accepted after a rejection anew, with a size that is known."""
        ts = self._ts
        if self._kept is None:
            raise StepperError(
                f"PETSc rejected a first attempt at step {k}, at time {time}, although "
                "-ts_adapt_type is none: leave that option out, and the step can be taken again"
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
        """Make the tolerances of the error control infinite, or what they were."""
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
                f"step {k} of size {size}, at time {time}, was rejected when it was taken again: "
                "its solver fails now, or a callback depends on more than state and time"
            )

    # -- back ---------------------------------------------------------------------------------

    def pull_back(self, k: int, adjoint: Vec, gradient: NDArray[Any] | None) -> None:
        """Take the adjoint from step `k + 1` to step `k`; the solution is that at `k`.

        Collective. The solution is undefined afterwards; the gradient of the parameters grows in
        the vector that the TS was given. Raises as `advance` does.
        """
        ts = self._ts
        try:
            self.place(k)
            if self._part is not None:
                assert self._step_cost_vjp is not None
                self._part.set(0.0)
                self._step_cost_vjp(ts, k, ts.getTime(), self._u, self._part, gradient)
            size = self._take_for_reversal(k)
            ts.setTimeStep(-size)
            ts.adjointStep()
            if ts.getConvergedReason() < 0:
                raise ts_diverged(ts, "the transposed system was not solved")
            if self._part is not None:
                adjoint.axpy(1.0, self._part)
        except PETSc.Error as error:
            raise ts_failed(self._ts, error) from None

    def _take_for_reversal(self, k: int) -> float:
        """Have the TS hold the stages of step `k`; return its size."""
        ts = self._ts
        if k >= len(self.accepted):
            self._new(None)
            return self._last_size
        time, size = self.accepted[k]
        self._accept_any_error(True)
        if self._hooked:
            self._call(0)
        ts.setTimeStep(size)
        if self._last_stage is None:
            self._take(k, None)
        else:
            with self._last_stage.skipped():
                self._take(k, None)
        self._check_accepted(k, time, size)
        return size

    # -- inside -------------------------------------------------------------------------------

    def _call(self, which: int) -> None:
        """Call the pre-step (0) or the post-step hook (1); refuse one that changes the solution."""
        if self._hooks[which] is None:
            return
        function, args, keywords = self._hooks[which]
        before, values = self._u.stateGet(), self._values.copy()
        function(self._ts, *(args or ()), **(keywords or {}))
        if self._u.stateGet() != before and not np.array_equal(
            self._values, values, equal_nan=True
        ):
            kind = ("pre-step", "post-step")[which]
            raise StepperError(
                f"the {kind} function changed the solution at step {self.position}, which PETSc "
                "does not differentiate: make that change part of the right-hand side, or write "
                "the steps with the integrators of solvers.petsc"
            )


def _unlimited(tolerance: Any) -> Any:
    if not isinstance(tolerance, PETSc.Vec):
        return INFINITE_TOLERANCE
    vector = tolerance.duplicate()
    vector.set(INFINITE_TOLERANCE)
    return vector


def _method(ts: TS) -> str | None:
    return ts.getRKType() if ts.getType() == "rk" else None
