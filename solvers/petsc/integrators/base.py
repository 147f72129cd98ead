"""The base class of the integrators: steps a `Problem` in time, as an `adjoint.Stepper`.

The state is a NumPy array, this rank's part of a vector, and PETSc computes in its memory. An
integrator implements one step and its transpose, in terms of the step's *stages*::

    take_step(k, before, stages, after)       before -> stages -> after, which may be before
    pull_back_step(k, before, stages)         adjoint -> adjoint, from the state and the stages

The tape holds the stages and the states between steps. If a step ends in its last stage, that stage
is the next state, and is kept once. Pulling a step back solves only transposed systems: its stages
are those on the tape.

The cost of step ``k`` is that of an observation at its beginning, plus the quadrature of the
running cost over the step.
"""

# ruff: noqa: B027 (methods that need not be overridden do nothing)

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from adjoint.steppers import Arrays, aligned_zeros, copy_arrays
from solvers.petsc.integrators.tapes import Stages, Tape
from solvers.petsc.integrators.time_steps import TimeSteps
from solvers.petsc.problem import Controls, Problem, ResidualProblem, Vec
from solvers.petsc.tape_vectors import vector_memory
from solvers.petsc.vectors import Window, check_template

__all__ = ["PetscStepper", "Stages"]


class PetscStepper(ABC):
    """A stepper for a `Problem`. Every method is collective on the problem's communicator.

    Parameters
    ----------
    problem
        The equation to integrate, and its cost.
    steps
        Length of all steps, or of each.
    start_time
        Time at which the first step begins.
    options_prefix
        Prefix of PETSc's options for the SNES and KSP of this integrator.

    Raises
    ------
    ArgumentError
        A length is not positive, or an observation is between two steps.
    StepperError
        The problem lacks what the method needs, or its vectors cannot share memory with NumPy.
    """

    reproducible: bool = True
    """False with options of a solver that depend on earlier steps, and with multigrid."""

    needs_last_state: bool = True
    """The transpose of a step needs its stages, so the last step of a leaf is taken in any case."""

    ends_in_last_stage: bool = False
    """Whether the last stage of a step is the state after it."""

    num_stages: int
    """Vectors on the tape of a step, besides the state before it."""

    names: tuple[str, ...] = ("u",)
    """Names of the vectors of a state: the time levels that a step needs."""

    def __init__(
        self,
        problem: Problem,
        steps: ArrayLike | TimeSteps,
        *,
        start_time: float = 0.0,
        options_prefix: str = "",
    ) -> None:
        check_template(problem.template)
        self.problem = problem
        self.options_prefix = options_prefix
        self.steps = steps if isinstance(steps, TimeSteps) else TimeSteps(steps, start_time)
        self.observed_at = {
            step: index for index, step in enumerate(self.steps.steps_at(problem.observation_times))
        }
        size = problem.template.getLocalSize()
        self._state: Arrays = {name: aligned_zeros(size) for name in self.names}
        self._adjoint: Arrays = {name: aligned_zeros(size) for name in self.names}
        self._accumulators = {
            k: aligned_zeros(c.shape, c.dtype) for k, c in problem.controls.items()
        }
        self.tape_memory = vector_memory(size)
        """Where the vectors of tapes are."""
        self._tapes: dict[int, Tape] = {}
        self._windows: dict[str, Window] = {}
        self._work = [aligned_zeros(size)] * self.num_stages
        self._has_running_cost = problem.has("running_cost")
        self.reached = 0

    # -- implemented by integrators -----------------------------------------------------------

    @abstractmethod
    def take_step(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, *, with_cost: bool
    ) -> float:
        """Take step `k`; return the integral of the running cost over it if `with_cost`, else 0.

        Writes the stages, which may all share one memory, and then `after`, unless it is None.
        `after` may be the memory of `before`.
        """

    @abstractmethod
    def pull_back_step(
        self, k: int, before: Arrays, stages: Stages, m: Controls, gradient: Mapping[str, Any]
    ) -> None:
        """Pull the adjoint back over step `k` and its running cost; add to `gradient`."""

    def begin_run(self) -> None:
        """Discard whatever depends on the controls."""

    def next_state(self, before: Arrays, stages: Stages) -> Arrays:
        """Return the state after a step that ends in its last stage, without copying."""
        del before
        return {"u": stages[-1]}

    def is_over(self, k: int) -> bool:
        """Return whether the run ends before step `k`."""
        del k
        return False

    def begin_levels(self, state: Arrays) -> None:
        """Set the levels other than ``u`` from ``u``, the initial state."""

    def fold_levels(self) -> None:
        """Transpose `begin_levels`: add the adjoints of the other levels to that of ``u``."""

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live state: this rank's part of each vector."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """The problem's controls."""
        return self.problem.controls

    @property
    def accumulators(self) -> Arrays:
        """The accumulated gradients."""
        return self._accumulators

    @property
    def distributed(self) -> Collection[str]:
        """The controls of which every rank holds its own part."""
        return self.problem.distributed

    def tape_bytes(self, steps: int, *, kept: bool = False) -> int:
        """Return the memory of the tape of `steps` steps: stages, and states between steps.

        The state before them is the live one, unless the tape is kept while others are recorded.
        """
        states = kept + (0 if self.ends_in_last_stage else steps - 1)
        vectors = steps * self.num_stages + states * len(self.names)
        return vectors * self._state["u"].nbytes

    def tape_pieces(self, steps: int) -> int:
        """Return the vectors on a kept tape."""
        return self.tape_bytes(steps, kept=True) // max(1, self._state["u"].nbytes)

    def release_tape(self, start: int, stop: int) -> list[Arrays]:
        """Return the vectors of a tape, and forget it."""
        del stop
        return self._tapes.pop(start).hand_over()

    def restore_tape(self, start: int, stop: int, pieces: Sequence[Arrays]) -> None:
        """Make vectors the tape of these steps."""
        tape = self._tapes[start] = Tape(self.tape_memory, pieces)
        after = self.next_state if self.ends_in_last_stage else None
        tape.find_steps(stop - start, self.names, self.num_stages, after)

    def fingerprint(self) -> dict[str, Any]:
        """Return method, steps, and what the problem holds."""
        method = (type(self).__name__, self.identity())
        return {"method": method, **self.problem.fingerprint()}

    def identity(self) -> tuple[Any, ...]:
        """Return what distinguishes this method and its steps from others."""
        return (self.steps.identity(),)

    def start(self) -> None:
        """Set the state from the controls, and the accumulators to zero."""
        self.problem.prepare(self.controls)
        self.begin_run()
        self.problem.initial_state(self.controls, self.window("state").on(self._state["u"]))
        self.begin_levels(self._state)
        for total in self._accumulators.values():
            total[...] = 0
        self._tapes.clear()
        self.tape_memory.begin()
        self.reached = 0

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self._state = arrays

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Advance the state from `start` to `stop`, in place or into `out`."""
        before, home = self._state, self._state if out is None else out
        self._state, self.reached = home, start
        for k in range(start, stop):
            if self.is_over(k):
                break
            cost = self._move(k, before, self._work, home, cost)
            before, self.reached = home, k + 1
        if before is not home:
            copy_arrays(before, home)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the state from `start` to `stop`, keeping each step's stages and first state."""
        home, tape = self._state, Tape(self.tape_memory)
        before = home
        if reach_stop:
            before = tape.state(self.names)
            copy_arrays(home, before)
        self.reached = start
        for k in range(start, stop):
            if self.is_over(k):
                break
            stages = tape.stages(self.num_stages)
            tape.steps.append((before, stages))
            after = self._after(k + 1 == stop, reach_stop, tape)
            cost = self._move(k, before, stages, after, cost)
            self.reached = k + 1
            if after is not None:
                before = after
            elif self.ends_in_last_stage:
                before = self.next_state(before, stages)
        if reach_stop and before is not home:
            copy_arrays(before, home)
        self._tapes[start] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost, and set the adjoint to its derivative.

        Raises
        ------
        ArgumentError
            An observation is later than the end of the run.
        """
        self._require_all_observed()
        problem, m = self.problem, self.controls
        for array in self._adjoint.values():
            array[...] = 0
        state, adjoint = self.window("state").on(self._state["u"]), self.adjoint_vector("u")
        index = self.observed_at.get(self.reached)
        if index is not None:
            cost += problem.observation_cost(index, state, m)
            problem.observation_cost_vjp(index, state, m, adjoint, self._accumulators)
        cost += problem.terminal_cost(state, m)
        problem.terminal_cost_vjp(state, m, adjoint, self._accumulators)
        return cost

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint back to `start`, from `stop` or from an earlier end of the run."""
        del stop
        tape = self._tapes.pop(start)
        for k, (before, stages) in reversed(list(enumerate(tape.steps, start))):
            m, gradient = self.controls_of(k), self._gradient_of(k)
            self.pull_back_step(k, before, stages, m, gradient)
            index = self.observed_at.get(k)
            if index is not None:
                state = self.window("state").on(before["u"])
                adjoint = self.adjoint_vector("u")
                self.problem.observation_cost_vjp(index, state, m, adjoint, gradient)
            for name in self.problem.per_step:
                self._accumulators[name][k] = gradient[name]
        tape.give_back()

    def finish(self) -> None:
        """Add the derivative with respect to the initial state to the gradients."""
        self.fold_levels()
        adjoint = self.adjoint_vector("u")
        self.problem.initial_state_vjp(self.controls, adjoint, self._accumulators)

    # -- beside the protocol ------------------------------------------------------------------

    def observed_states(self) -> Iterator[tuple[int, Vec]]:
        """Run from the controls; yield the index and the state of each observation.

        The state is the live one: read it before the next iteration.
        """
        self.start()
        for step, index in self.observed_at.items():
            self.advance(self.reached, step)
            yield index, self.window("state").on(self._state["u"])

    # -- for integrators ----------------------------------------------------------------------

    def window(self, name: str) -> Window:
        """Return the window of a name: vectors in use at the same time have different names."""
        if name not in self._windows:
            self._windows[name] = Window(self.problem.template)
        return self._windows[name]

    def adjoint_vector(self, name: str) -> Vec:
        """Return the live adjoint as a vector."""
        return self.window(f"adjoint {name}").on(self._adjoint[name])

    def controls_of(self, k: int) -> Controls:
        """Return the controls of step `k`: of those in `per_step`, the row of the step."""
        problem = self.problem
        if not problem.per_step:
            return problem.controls
        for name in problem.per_step:
            if k >= len(problem.controls[name]):
                raise ArgumentError(
                    f"control {name!r} has {len(problem.controls[name])} rows: there is none for "
                    f"step {k}"
                )
        return {n: c[k] if n in problem.per_step else c for n, c in problem.controls.items()}

    @property
    def needs_rates(self) -> bool:
        """Whether derivatives of the equation depend on ``u'``."""
        return isinstance(self.problem, ResidualProblem)

    def running_cost(
        self, t: float, u: Vec, m: Controls, weight: float, *, with_cost: bool
    ) -> float:
        """Return a term of the quadrature of the running cost if `with_cost`, else 0."""
        if not with_cost or not self._has_running_cost or weight == 0:
            return 0.0
        return weight * self.problem.running_cost(t, u, m)

    def running_cost_vjp(
        self,
        t: float,
        u: Vec,
        m: Controls,
        weight: float,
        adjoint: Vec,
        gradient: Mapping[str, Any],
    ) -> None:
        """Add the derivatives of a term of the quadrature of the running cost."""
        if self._has_running_cost and weight != 0:
            self.problem.running_cost_vjp(t, u, m, weight, adjoint, gradient)

    # -- inside -------------------------------------------------------------------------------

    def _move(
        self, k: int, before: Arrays, stages: Stages, after: Arrays | None, cost: float | None
    ) -> float | None:
        if cost is None:
            self.take_step(k, before, stages, after, with_cost=False)
            return None
        own = 0.0
        index = self.observed_at.get(k)
        if index is not None:
            state = self.window("state").on(before["u"])
            own += self.problem.observation_cost(index, state, self.controls_of(k))
        own += self.take_step(k, before, stages, after, with_cost=True)
        return cost + own

    def _after(self, last: bool, reach_stop: bool, tape: Tape) -> Arrays | None:
        """Return memory for the state after a recorded step; None if it is the last stage."""
        if last:
            return self._state if reach_stop else None
        if self.ends_in_last_stage:
            return None
        return tape.state(self.names)

    def _gradient_of(self, k: int) -> dict[str, NDArray[Any]]:
        rows = self.problem.per_step
        return {n: np.array(g[k]) if n in rows else g for n, g in self._accumulators.items()}

    def _require_all_observed(self) -> None:
        late = [step for step in self.observed_at if step > self.reached]
        if late:
            times = [self.problem.observation_times[self.observed_at[step]] for step in late]
            raise ArgumentError(
                f"the run ends at step {self.reached}, before the observations at t = {times}: "
                "take more steps, or leave those out"
            )
