"""The functions that a TS calls before and after its steps and stages, and what they may do.

``TSStep`` calls none of those around a step, so they are called here, as by ``TSSolve``: set in
Python or not. PETSc differentiates nothing that they do. Each rule is therefore checked by what
they have done:

- None may change the solution. One in Python may ask for it in a form that it could write to, so
  values are compared. One in C has written to it if PETSc has counted a change; the same holds for
  the stages, which are shown to the functions around stages once a run.
- The pre-step function may set what the equation needs at a step, from time and step alone. It is
  called whenever the step is taken, and before the step is reversed. Before the first one that is,
  it is called with two solutions, which must lead to the same equation.
- The post-step function may only observe: steps are reversed with what the last call of it has set.
  The equation must be the same before and after each call.

What a function in C does to the equation is not seen: PETSc does not show that there is one.
"""

import ctypes
from typing import Any

from numpy.typing import NDArray

from adjoint.errors import StepperError
from solvers.petsc.library import INTEGER, POINTER, call

__all__ = ["Hooks"]

TS = Any
Vec = Any

NAMES = {
    "TSPreStep": "pre-step function",
    "TSPostEvaluate": "post-evaluate function",
    "TSPostStep": "post-step function",
}

INSTEAD = "make it part of the right-hand side, or use an integrator of solvers.petsc"


class Hooks:
    """Calls the functions that a TS, whose solution is `u`, has around its steps.

    Every method is collective, and raises `StepperError` on all ranks if a function has broken its
    rule.
    """

    def __init__(self, ts: TS, u: Vec) -> None:
        self._ts = ts
        self._u = u
        self._work: list[Vec] = []
        self.begin()

    def begin(self) -> None:
        """Begin a run at the initial solution, with the functions that the TS has now."""
        pre, post = self._ts.getPreStep(), self._ts.getPostStep()
        self.sets_equation = pre is not None
        """Whether there is a pre-step function in Python."""
        self._observes = post is not None
        self._initial = self._u.getArray(readonly=True).copy() if self.sets_equation else None
        if not self._work and (self.sets_equation or self._observes):
            self._work = [self._u.duplicate() for _ in range(3)]
        self._num_checked = 0
        """Steps after which the equation was compared."""

    def before_step(self) -> None:
        """Call the pre-step function."""
        self._call("TSPreStep", compare=self.sets_equation)

    def after_step(self, k: int) -> None:
        """Call the post-step function of step `k`, and what PETSc calls before it."""
        if k == 0:
            self._show_stages()
        self._call("TSPostEvaluate")
        if not self._observes or k < self._num_checked:
            self._call("TSPostStep", compare=self._observes)
            return
        self._num_checked = k + 1
        old = self._equation(1)
        self._call("TSPostStep", compare=True)
        if not self._equation(2).equal(old):
            raise StepperError(
                f"the post-step function changed the equation at step {k + 1}, but steps would be "
                "reversed with what its last call has set: set it in the pre-step function, from "
                "time and step alone"
            )

    def before_reversal(self, values: NDArray[Any]) -> None:
        """Call the pre-step function; the solution, in `values`, is that before the step."""
        if self._initial is None:
            self.before_step()
            return
        own = values.copy()
        self._put(values, self._initial)
        self.before_step()
        self._put(values, own)
        old = self._equation(1)
        self.before_step()
        if not self._equation(2).equal(old):
            raise StepperError(
                "called again, or with another solution, the pre-step function of step "
                f"{self._ts.getStepNumber()} set another equation, which PETSc does not "
                "differentiate: let it depend on time and step alone"
            )
        self._initial = None

    def _call(self, function: str, *, compare: bool = False) -> None:
        """Call a function of PETSc's that calls one of the user's; refuse a changed solution."""
        u, counted = self._u, self._u.stateGet()
        if compare:
            u.copy(self._work[0])
        call(function, self._ts.handle)
        # One in Python may ask for the solution on some ranks only.
        if not u.equal(self._work[0]) if compare else u.stateGet() != counted:
            raise self._changed(NAMES[function], "the solution")

    def _show_stages(self) -> None:
        """Call the functions around stages, with a copy of the solution as every stage."""
        handle, time = self._ts.handle, ctypes.c_double(self._ts.getTime())
        count, copy = INTEGER(), self._u.duplicate()
        call("TSGetStages", handle, ctypes.byref(count), None)
        self._u.copy(copy)
        stages = (POINTER * count.value)(*[copy.handle] * count.value)
        counted = self._u.stateGet(), copy.stateGet()
        for i in range(count.value):
            call("TSPreStage", handle, time)
            call("TSPostStage", handle, time, INTEGER(i), stages)
        if (self._u.stateGet(), copy.stateGet()) != counted:
            raise self._changed("function around stages", "a stage")

    def _equation(self, place: int) -> Vec:
        """Return the residual at the live solution, in work vector `place`."""
        ts, u, out = self._ts, self._u, self._work[place]
        ts.computeIFunction(ts.getTime(), u, u, out, False)
        return out

    def _put(self, values: NDArray[Any], new: NDArray[Any]) -> None:
        values[...] = new
        self._u.stateIncrease()

    def _changed(self, function: str, what: str) -> StepperError:
        return StepperError(
            f"the {function} changed {what} at step {self._ts.getStepNumber()}, which PETSc does "
            f"not differentiate: {INSTEAD}"
        )
