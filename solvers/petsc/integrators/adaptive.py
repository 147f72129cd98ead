"""Adaptive Runge-Kutta methods, whose steps are chosen by an embedded error estimate.

The difference of the results of the two methods, ``h sum (b_i - e_i) K_i``, estimates the error of
a step. In the norm ::

    error^2 = mean of (difference / (absolute + relative max(|u|, |u_next|)))^2

a step is accepted if its error is at most 1. The length of the next step is multiplied by
``0.9 error^(-1/(q+1))``, limited to between 1/5 and 5, where ``q`` is the lower of the two orders
(Hairer, Nørsett and Wanner 1993, II.4). A step whose stages cannot be solved is tried again with a
quarter of its length. Steps are shortened so that one ends at every observation and at the end.

*What is differentiated.* Times and lengths of accepted steps are kept, 16 bytes per step, and
reused exactly when a step is taken again. The gradient is that of the cost with these steps fixed:
their choice is not differentiated, because it is not a smooth function of the controls. For a
Taylor test, or during an optimisation, fix them by
``stepper.accept_steps(stepper.accepted_steps)``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError, NonFiniteError, SolveError, StepperError
from adjoint.steppers import Arrays
from solvers.petsc.accepted_steps import AcceptedSteps
from solvers.petsc.integrators.runge_kutta import RungeKutta
from solvers.petsc.integrators.tableaux import Tableau, check_tableau
from solvers.petsc.integrators.tapes import Stages
from solvers.petsc.integrators.time_steps import TOLERANCE, TimeSteps
from solvers.petsc.problem import Problem

__all__ = ["AdaptiveRungeKutta"]

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 5.0
"""Step size control as in Hairer, Nørsett and Wanner 1993, II.4."""

FAILURE_FACTOR = 0.25
"""Factor of the length of a step whose stages could not be solved, as in PETSc's TSAdapt."""

MAX_ATTEMPTS = 30
"""Attempts at one step. Quartered lengths reach `MIN_RELATIVE_SIZE` sooner: this bounds attempts
whose lengths shrink slowly."""

MIN_RELATIVE_SIZE = 1e-12
"""Shortest step attempted, relative to the length of the run: times resolve no shorter ones
well."""

MIN_ERROR = 1e-10
"""Floor of the error in the step size control, where an error of zero would divide by zero."""


class AcceptedTimes(TimeSteps):
    """Times of the steps of an adaptive run, known as far as steps have been accepted.

    Parameters
    ----------
    start_time, final_time
        Beginning and end of the run.
    observation_times
        Further times at which steps must end.
    """

    def __init__(
        self, start_time: float, final_time: float, observation_times: Sequence[float]
    ) -> None:
        if not start_time < final_time < np.inf:
            raise ArgumentError(
                f"start_time={start_time}, final_time={final_time}: the end must be after the start"
            )
        times = [*observation_times]
        if sorted(set(times)) != times or (times and not start_time <= times[0]):
            raise ArgumentError(
                f"observation times must increase, from start_time={start_time} on: {times}"
            )
        if times and times[-1] > final_time:
            raise ArgumentError(f"an observation at {times[-1]} is after the end, {final_time}")
        super().__init__(final_time - start_time, start_time)
        self._start_time, self._final_time = start_time, final_time
        self.length = final_time - start_time
        """Length of the run in time."""
        self._targets = np.array([*(t for t in times if t > start_time), final_time])
        self.accepted = AcceptedSteps()

    def identity(self) -> tuple[float, bytes]:
        return self._start_time, self._targets.tobytes()

    def steps_at(self, times: Sequence[float]) -> list[int]:
        """Return no steps: it is not known yet when they begin."""
        del times
        return []

    def time(self, step: int) -> float:
        if step < len(self.accepted):
            return self.accepted[step][0]
        if step == 0:
            return self._start_time
        if step > len(self.accepted):
            raise StepperError(
                f"the time of step {step} is not known: only {len(self.accepted)} steps have been "
                "accepted. Pass those of the earlier run to accept_steps"
            )
        begin, size = self.accepted[step - 1]
        return self._snapped(begin + size, size)

    def size(self, step: int) -> float:
        return self.accepted[step][1]

    def cut(self, begin: float, size: float) -> float:
        """Return `size`, reduced so that the step neither passes a target nor ends just before it.

        Targets are the observations and the end. A step that would leave less than its own length
        before a target takes half of the way.
        """
        target = float(self._targets[np.searchsorted(self._targets, begin, side="right")])
        left = target - begin
        if size >= left * (1 - TOLERANCE):
            return left
        return min(size, left / 2)

    @property
    def ended(self) -> bool:
        """Whether the accepted steps reach the end."""
        return len(self.accepted) > 0 and self.time(len(self.accepted)) == self._final_time

    def _snapped(self, time: float, size: float) -> float:
        """Return the target within round-off of a time; the time itself if there is none."""
        nearest = float(self._targets[np.argmin(np.abs(self._targets - time))])
        return nearest if abs(nearest - time) <= TOLERANCE * size else time


class AdaptiveRungeKutta(RungeKutta):
    """A Runge-Kutta method that chooses its steps; their number is known only at the end of a run.

    Parameters
    ----------
    problem, start_time, options_prefix
        As for `PetscStepper`.
    tableau
        The method, with an embedded one.
    final_time
        Time at which the run ends.
    relative, absolute
        Tolerances of the error of a step.
    first_step
        Length of the first attempt; by default a hundredth of the run.

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
            raise ArgumentError(
                f"relative={relative}, absolute={absolute}: neither may be negative, and one must "
                "be positive"
            )
        if first_step is not None and not first_step > 0:
            raise ArgumentError(f"first_step={first_step}: must be positive")
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

    def identity(self) -> tuple[Any, ...]:
        return (*super().identity(), self._tolerances, self._first_step)

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
        """Time and length of every step accepted so far, of shape ``(steps, 2)``."""
        return self._times.accepted.rows()

    def accept_steps(self, rows: ArrayLike) -> None:
        """Prescribe the first steps of every later run, which chooses steps only after these.

        With no rows, every run chooses all of its steps.

        Raises
        ------
        ArgumentError
            They are not finite rows of time and length.
        """
        self._times.accepted.set(np.reshape(np.asarray(rows, dtype=float), (-1, 2)))
        self._note_all()

    def begin_run(self) -> None:
        super().begin_run()
        self._times.accepted.discard_new()
        self._note_all()

    def is_over(self, k: int) -> bool:
        return self._times.ended and k >= len(self._times.accepted)

    def take_step(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, *, with_cost: bool
    ) -> float:
        if k < len(self._times.accepted):
            return super().take_step(k, before, stages, after, with_cost=with_cost)
        integral = self._choose(k, before, stages, with_cost=with_cost)
        if after is not None:
            self.end_step(self.steps.size(k), before, stages, after)
        return integral

    # -- step size control --------------------------------------------------------------------

    def _choose(self, k: int, before: Arrays, stages: Stages, *, with_cost: bool) -> float:
        """Try lengths until a step is accepted; leave its stages, and return its cost."""
        begin, size, reason = self._times.time(k), 0.0, ""
        for _ in range(MAX_ATTEMPTS):
            size = self._times.cut(begin, self._proposed)
            if size < MIN_RELATIVE_SIZE * self._times.length:
                break
            try:
                integral = self.take_stages(k, begin, size, before, stages, with_cost=with_cost)
                error = self._error(k, begin, size, before, stages)
                reason = f"its error is {error:.3g} times the tolerance"
            except (SolveError, NonFiniteError) as failure:
                integral, error, reason = 0.0, np.inf, str(failure)
            factor = FAILURE_FACTOR
            if np.isfinite(error):
                factor = SAFETY * max(error, MIN_ERROR) ** self._exponent
            self._proposed = size * min(MAX_FACTOR, max(MIN_FACTOR, factor))
            if error <= 1:
                self._times.accepted.add(begin, size)
                self._note(k + 1)
                return integral
        raise SolveError(
            f"step {k} at t = {begin} is rejected even with length {size}: {reason}. If the "
            "solution is smooth there, allow larger errors or use an implicit method"
        )

    def _error(self, k: int, begin: float, size: float, before: Arrays, stages: Stages) -> float:
        """Return the error of a step relative to the tolerances, the same on all ranks."""
        u, m = self.window("state").on(before["u"]), self.controls_of(k)
        x = self.window("spare").on(self._spare)
        for i in range(self.tableau.num_needed, len(self.tableau.b)):
            self.take_stage(i, self.point(k, i, begin, size, m), size, u, x, x)
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
        """Register the observation at the time of state `step`, if there is one."""
        index = self._index_at.get(self._times.time(step))
        if index is not None:
            self.observed_at[step] = index

    def _note_all(self) -> None:
        """Register the observations at accepted steps, and propose the next length from them."""
        accepted = self._times.accepted
        self.observed_at.clear()
        for step in range(len(accepted) + 1) if self._index_at else ():
            self._note(step)
        self._proposed = accepted[len(accepted) - 1][1] if len(accepted) else self._first_step
