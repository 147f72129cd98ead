"""Runge-Kutta methods with an embedded one, which choose their steps.

The difference of the two results, ``h sum (b_i - e_i) K_i``, estimates the error of a step. In the
norm ::

    error^2 = mean of (difference / (absolute + relative max(|u|, |u_next|)))^2

a step is accepted if its error is at most 1; the next is longer or shorter by
``0.9 error^(-1/(q+1))``, between 1/5 and 5 times as long, ``q`` being the lower of the two orders
(Hairer, Nørsett and Wanner 1993, II.4). A step whose stages cannot be solved is tried again with a
quarter of its length. Steps are cut so that one ends at every observation, and the last at the end.

*What is differentiated.* Times and sizes of accepted steps are kept, 16 bytes a step, and a step
taken again is taken with the same ones. The gradient is that of the cost with these steps: the
choice of steps is not differentiated, since it is no smooth function of the controls. For a Taylor
test, or throughout a search, hold them fast: ``stepper.accept_steps(stepper.accepted_steps)``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError, NonFiniteError, SolveError, StepperError
from adjoint.steppers import Arrays
from solvers.petsc.accepted_steps import AcceptedSteps
from solvers.petsc.integrators.base import Stages
from solvers.petsc.integrators.runge_kutta import RungeKutta
from solvers.petsc.integrators.tableaux import Tableau, check_tableau
from solvers.petsc.integrators.time_steps import TOLERANCE, TimeSteps
from solvers.petsc.problem import Problem

__all__ = ["AdaptiveRungeKutta"]

SAFETY, SHORTEST, LONGEST = 0.9, 0.2, 5.0

AFTER_FAILURE = 0.25

MOST_ATTEMPTS = 30

SMALLEST = 1e-12
"""The shortest step that is tried, relative to the run."""


class AcceptedTimes(TimeSteps):
    """When the steps of an adaptive run begin, as far as it has come.

    Parameters
    ----------
    start_time, final_time
        Of the run.
    observation_times
        Where steps must end, besides.
    """

    def __init__(
        self, start_time: float, final_time: float, observation_times: Sequence[float]
    ) -> None:
        if not start_time < final_time < np.inf:
            raise ArgumentError(
                f"start_time={start_time}, final_time={final_time}: the end comes after the start"
            )
        times = [*observation_times]
        if sorted(set(times)) != times or (times and not start_time <= times[0]):
            raise ArgumentError(f"times of observation must increase, from the start: {times}")
        if times and times[-1] > final_time:
            raise ArgumentError(f"an observation at {times[-1]} is after the end, {final_time}")
        super().__init__(final_time - start_time, start_time)
        self._start_time, self._final_time = start_time, final_time
        self.length = final_time - start_time
        """Of the run."""
        self._targets = np.array([*(t for t in times if t > start_time), final_time])
        self.accepted = AcceptedSteps()

    def told(self) -> tuple[float, bytes]:
        return self._start_time, self._targets.tobytes()

    def steps_at(self, times: Sequence[float]) -> list[int]:
        """Return none: it is not known yet when steps begin."""
        del times
        return []

    def time(self, step: int) -> float:
        if step < len(self.accepted):
            return self.accepted[step][0]
        if step == 0:
            return self._start_time
        if step > len(self.accepted):
            raise StepperError(
                f"when step {step} begins is not known: {len(self.accepted)} steps were accepted. "
                "Give those of the run before with accept_steps"
            )
        begin, size = self.accepted[step - 1]
        return self._meant(begin + size, size)

    def size(self, step: int) -> float:
        return self.accepted[step][1]

    def cut(self, begin: float, size: float) -> float:
        """Return a size for a step that does not jump over a target, nor stop just before it."""
        target = float(self._targets[np.searchsorted(self._targets, begin, side="right")])
        left = target - begin
        if size >= left * (1 - TOLERANCE):
            return left
        return min(size, left / 2)

    @property
    def ended(self) -> bool:
        """Whether the accepted steps reach the end."""
        return len(self.accepted) > 0 and self.time(len(self.accepted)) == self._final_time

    def _meant(self, time: float, size: float) -> float:
        """Return the target that a step ends at, free of round-off; else the time itself."""
        nearest = float(self._targets[np.argmin(np.abs(self._targets - time))])
        return nearest if abs(nearest - time) <= TOLERANCE * size else time


class AdaptiveRungeKutta(RungeKutta):
    """A Runge-Kutta method that chooses its steps, so that only it knows how many there are.

    Parameters
    ----------
    problem, start_time, options_prefix
        As for `PetscStepper`.
    tableau
        A method with an embedded one.
    final_time
        When the run ends.
    relative, absolute
        The error allowed in a step.
    first_step
        To begin with; by default a hundredth of the run.

    Raises
    ------
    ArgumentError
        The tableau has no embedded method, or a number is not positive.
    """

    def __init__(
        self,
        problem: Problem,
        tableau: Tableau,
        final_time: float,
        *,
        relative: float = 1e-6,
        absolute: float = 1e-9,
        first_step: float | None = None,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        check_tableau(tableau)
        if tableau.embedded is None:
            raise ArgumentError(f"{tableau.name} has no embedded method to estimate errors with")
        if min(relative, absolute) < 0 or max(relative, absolute) <= 0:
            raise ArgumentError(f"relative={relative}, absolute={absolute}: one must be positive")
        if first_step is not None and not first_step > 0:
            raise ArgumentError(f"first_step={first_step} must be positive")
        self._tolerances = relative, absolute
        self._first_step = (final_time - start_time) / 100 if first_step is None else first_step
        times = AcceptedTimes(start_time, final_time, problem.observation_times)
        self._times = times
        super().__init__(problem, times, tableau, options_prefix=options_prefix)
        self._index_at = {time: index for index, time in enumerate(problem.observation_times)}
        self._difference = np.asarray(tableau.b - tableau.embedded)
        self._exponent = -1 / (1 + min(tableau.order, tableau.embedded_order))
        self._spare = np.zeros(problem.template.getLocalSize())
        self._error_vector = problem.template.duplicate()
        self._proposed = self._first_step

    def told(self) -> tuple[Any, ...]:
        return (*super().told(), self._tolerances, self._first_step)

    @property
    def position(self) -> int:
        """The step that the live state is at."""
        return self.reached

    @property
    def finished(self) -> bool:
        """Whether the live state is that at the final time."""
        return self._times.ended and self.reached == len(self._times.accepted)

    @property
    def accepted_steps(self) -> NDArray[np.float64]:
        """Time and size of every step accepted so far, one row each."""
        return self._times.accepted.rows()

    def accept_steps(self, rows: ArrayLike) -> None:
        """Have these steps taken by every run from now on, and more only if they end too early.

        With no rows, steps are chosen anew by every run.

        Raises
        ------
        ArgumentError
            Not rows of time and size.
        """
        self._times.accepted.give(np.reshape(np.asarray(rows, dtype=float), (-1, 2)))
        self._note_all()

    def begin_run(self) -> None:
        super().begin_run()
        self._times.accepted.forget_new()
        self._note_all()

    def is_over(self, k: int) -> bool:
        return self._times.ended and k >= len(self._times.accepted)

    def take_step(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, *, priced: bool
    ) -> float:
        if k < len(self._times.accepted):
            return super().take_step(k, before, stages, after, priced=priced)
        integral = self._choose(k, before, stages, priced=priced)
        if after is not None:
            self.end_step(self.steps.size(k), before, stages, after)
        return integral

    # -- inside -------------------------------------------------------------------------------

    def _choose(self, k: int, before: Arrays, stages: Stages, *, priced: bool) -> float:
        """Take the stages of a step that is short enough; note it as accepted."""
        begin, size, told = self._times.time(k), 0.0, ""
        for _ in range(MOST_ATTEMPTS):
            size = self._times.cut(begin, self._proposed)
            if size < SMALLEST * self._times.length:
                break
            try:
                integral = self.take_stages(k, begin, size, before, stages, priced=priced)
                error = self._error(k, begin, size, before, stages)
                told = f"its error is {error:.3g} times what is allowed"
            except (SolveError, NonFiniteError) as failure:
                integral, error, told = 0.0, np.inf, str(failure)
            factor = AFTER_FAILURE
            if np.isfinite(error):
                factor = SAFETY * max(error, 1e-10) ** self._exponent
            self._proposed = size * min(LONGEST, max(SHORTEST, factor))
            if error <= 1:
                self._times.accepted.add(begin, size)
                self._note(k + 1)
                return integral
        raise SolveError(
            f"step {k} at t = {begin} is refused even with size {size}: {told}. Is the solution "
            "smooth there? Else allow larger errors, or use an implicit method"
        )

    def _error(self, k: int, begin: float, size: float, before: Arrays, stages: Stages) -> float:
        """Return the error of a step over what is allowed; the same on all ranks."""
        u, m = self.window("state").on(before["u"]), self.controls_of(k)
        x = self.window("spare").on(self._spare)
        for i in range(self.tableau.num_needed, len(self.tableau.b)):
            self.take_stage(i, self.place(k, i, begin, size, m), size, u, x, x)
        self.end_step(size, before, stages, {"u": self._spare})
        old, new = before["u"], self._spare
        error = self._error_vector
        error.set(0.0)
        self.add_slopes(error, size, self._difference)
        relative, absolute = self._tolerances
        scale = absolute + relative * np.maximum(np.abs(old), np.abs(new))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error.getArray()[...] /= scale
        norm = float(error.norm()) / max(1, error.getSize()) ** 0.5
        return float(error.getComm().tompi4py().bcast(norm))

    def _note(self, step: int) -> None:
        """Note the observation of the state at `step`, if there is one."""
        index = self._index_at.get(self._times.time(step))
        if index is not None:
            self.observed_at[step] = index

    def _note_all(self) -> None:
        """Note what the accepted steps, and no others, lead to."""
        accepted = self._times.accepted
        self.observed_at.clear()
        for step in range(len(accepted) + 1) if self._index_at else ():
            self._note(step)
        self._proposed = accepted[len(accepted) - 1][1] if len(accepted) else self._first_step
