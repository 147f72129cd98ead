"""A PETSc TS configured by the user, as a stepper with PETSc's own adjoint step.

PETSc's ``TSAdjointSolve`` needs every state and stage of the run, from a trajectory object that
keeps them in memory or writes one file per step. Its adjoint *step* needs only the states and
stages of one step, which the TS has after taking it. So this stepper does ::

    record     step, keep the state before it and its stages      F
    pull back  give them back, adjointStep                        A

and the schedule provides the states to record from: a gradient costs ``F + A`` if all tapes fit in
memory, ``2 F + A`` if all states do, and a little more if not. Zhang, Constantinescu and Smith 2022
(doi:10.1137/21M140078X) describe the adjoint step. `solvers.petsc.ts.steps` takes steps again bit
for bit; `solvers.petsc.ts.stages` keeps their stages; `solvers.petsc.ts.checks`,
`solvers.petsc.ts.hooks` and `solvers.petsc.ts.inertia` refuse what PETSc cannot reverse.

Call ``petsc4py.init(sys.argv)`` before other imports of petsc4py. Options are then those of any
PETSc program, with the prefix of this TS.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import AdjointError, ArgumentError, StepperError
from adjoint.parallel import communicator
from adjoint.steppers import Arrays, Scratch
from solvers.petsc.errors import explanation
from solvers.petsc.library import PETSc
from solvers.petsc.tape_vectors import TapeVectors, vector_memory
from solvers.petsc.ts.checks import (
    check_quadrature,
    check_ts,
    check_vectors,
    is_reproducible,
    lacks_jacobian,
    may_reject,
    scheme,
)
from solvers.petsc.ts.stages import Stages, cost_gradient
from solvers.petsc.ts.steps import StepCost, StepCostVjp, Steps

__all__ = ["TSStepper"]

TS = Any
Vec = Any


class Tape(TapeVectors):
    """What `record` keeps of its steps."""

    def __init__(self, memory: Scratch[Arrays]) -> None:
        super().__init__(memory)
        self.steps: list[tuple[tuple[float, float], list[NDArray[Any]]]] = []
        """Time and length of each step; the state before it, and its stages."""
        self.end: NDArray[Any] | None = None
        """The state after the last step; None if it is the live one."""


class TSStepper:
    """Steps and reverses a TS that is configured as for `TS.solve`. Construction is collective.

    The controls are ``initial``, this rank's part of the initial solution, and ``parameters`` if
    given. The state is ``u``, this rank's part of the solution, and ``clock``: the time, and the
    length with which the next step is attempted. The adjoint ``u`` is PETSc's lambda. ``u`` and its
    adjoint are views of PETSc's memory, not copies.

    Parameters
    ----------
    ts
        A TS whose type, problem, time, time step and options are set (`TS.setFromOptions` has been
        called). The stepper drives it from now on, and removes any trajectory. A quadrature TS
        (`TS.createQuadratureTS`) is a running cost: this rank's part of the integral.
    u
        The initial solution. It becomes the TS's solution; its memory is the live state.
    terminal_cost
        ``terminal_cost(u)`` returns this rank's part of a cost of the final solution. The parts of
        all ranks are added: sum over ``u.getArray(readonly=True)``, do not use ``u.norm()``.
    terminal_cost_vjp
        ``terminal_cost_vjp(u, adjoint, gradient)`` adds its derivatives: with respect to the
        solution to the Vec `adjoint`, which is zero on entry, and with respect to the parameters to
        the array `gradient`, which has their shape (None without parameters).
    step_cost
        ``step_cost(ts, step, time, u)`` returns this rank's part of a cost of the solution before
        each step; the arguments are those of a TS monitor.
    step_cost_vjp
        ``step_cost_vjp(ts, step, time, u, adjoint, gradient)`` adds its derivatives, as above.
    parameters
        The parameters that `TS.setRHSJacobianP` or `TS.setIJacobianP` differentiate with respect
        to. A Vec has the layout of the columns of that matrix, and its local part is the control.
        A NumPy array is the same on all ranks, and PETSc decides the layout of the columns. The
        callbacks read the parameters from this Vec or array, which is kept, not copied.

    Raises
    ------
    StepperError
        PETSc cannot reverse this TS correctly: see `solvers.petsc.ts.checks`. On all ranks.
    ArgumentError
        Vectors have the wrong type or another communicator; a cost has no derivative.

    Notes
    -----
    Whatever a pre-step function sets must follow from time and step: see `solvers.petsc.ts.hooks`.
    If PETSc adapts the steps, their number is known only at the end: `finished` is true when the TS
    is at its maximum time or number of steps.
    """

    needs_last_state: bool = True
    """The adjoint of a step needs its stages, so the last step of a leaf is taken in any case."""

    def __init__(
        self,
        ts: TS,
        u: Vec,
        *,
        terminal_cost: Any = None,
        terminal_cost_vjp: Any = None,
        step_cost: StepCost | None = None,
        step_cost_vjp: StepCostVjp | None = None,
        parameters: Vec | NDArray[Any] | None = None,
    ) -> None:
        if not isinstance(ts, PETSc.TS) or not ts:
            raise ArgumentError(f"ts must be a petsc4py TS, not {type(ts).__name__}")
        self._ts = ts
        self._u = u
        self._costs = terminal_cost, terminal_cost_vjp
        self._admit(parameters, (self._costs, (step_cost, step_cost_vjp)))
        self._values = u.getArray()
        self._lambda = u.duplicate()
        self._lambda.set(0.0)
        self._controls: dict[str, NDArray[Any]] = {"initial": self._values.copy()}
        self._accumulators: dict[str, NDArray[Any]] = {"initial": np.zeros_like(self._values)}
        self._parameters = parameters if isinstance(parameters, PETSc.Vec) else None
        # TS holds no reference to either of its cost gradients.
        self._mu = self._add_parameters(parameters)
        self._stages = self._set_up()
        self._scheme = scheme(ts)
        self._steps = Steps(
            ts,
            u,
            self._values,
            self._stages,
            step_cost=step_cost,
            step_cost_vjp=step_cost_vjp,
            rejects=may_reject(ts),
        )
        self._state: Arrays = {"u": self._values, "clock": self._steps.clock}
        self._adjoint: Arrays = {"u": self._lambda.getArray()}
        self.tape_memory = vector_memory(self._values.size)
        """Where the vectors of tapes are."""
        self._tapes: dict[tuple[int, int], Tape] = {}
        self.reproducible = is_reproducible(ts)
        self.distributed = ("initial", "parameters") if self._parameters else ("initial",)

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live state: this rank's part of the solution, and the clock."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint: this rank's part of PETSc's lambda."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """The initial solution, and the parameters."""
        return self._controls

    @property
    def accumulators(self) -> Arrays:
        """The accumulated gradients; that of the parameters is the memory of PETSc's mu."""
        return self._accumulators

    @property
    def position(self) -> int:
        """The step that the live state is at."""
        return self._steps.position

    @property
    def finished(self) -> bool:
        """Whether the TS is at its maximum time or number of steps."""
        return self._steps.finished

    @property
    def accepted_steps(self) -> NDArray[np.float64]:
        """Time and length of every step accepted so far, of shape ``(steps, 2)``."""
        return self._steps.accepted.rows()

    def accept_steps(self, rows: ArrayLike) -> None:
        """Prescribe the first steps of every later run; with no rows, every run adapts them."""
        self._steps.accepted.set(np.reshape(rows, (-1, 2)))

    def tape_bytes(self, steps: int, *, kept: bool = False) -> int:
        """Return the memory of the tape of `steps` steps: stages, and the state before each.

        One that is kept, while others are recorded, has the state after the last step too.
        """
        return (steps * (1 + self._stages.num_kept) + kept) * self._values.nbytes

    def fingerprint(self) -> dict[str, Any]:
        """Return method, size and first step. What callbacks read is not seen."""
        ts = self._ts
        return {"ts": (ts.getType(), self._u.getSize(), self._steps.first, ts.getOptionsPrefix())}

    def start(self) -> None:
        """Set the state to the initial solution, and the accumulators to zero.

        Raises
        ------
        StepperError
            The method of the TS is another one than at construction; it was reset; or its cost
            gradients are those of another stepper.
        """
        self._check_unchanged()
        self._ts.setSolution(self._u)  # the user's TS.solve may have used another one
        self._values[...] = self._controls["initial"]
        for total in self._accumulators.values():
            total[...] = 0
        if self._parameters is not None:
            self._parameters.stateIncrease()
        self._tapes.clear()
        self.tape_memory.begin()
        self._steps.begin()

    def restored(self, step: int) -> None:
        """Take note that the state has been overwritten by the one at `step`."""
        self._steps.place(step)

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Take the steps from `start` to `stop`, or to the end of the TS if it is earlier.

        Collective.
        """
        if not self._steps.ended:
            self._check_position(start)
        return self._steps.advance(stop, cost)

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Do as `advance`, keeping the stages of each step and the state before it. Collective."""
        self._check_position(start)
        steps, tape = self._steps, Tape(self.tape_memory)
        self._tapes[start, stop] = tape
        while steps.position < stop and not steps.ended:
            kept = [tape.take() for _ in range(1 + self._stages.num_kept)]
            kept[0][...] = self._values
            k = steps.position + 1
            cost = steps.advance(k, cost, is_last=k == stop and not reach_stop)
            self._stages.save(kept[1:])
            tape.steps.append((steps.last, kept))
        if reach_stop:
            tape.end = tape.take()
            tape.end[...] = self._values
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost, and set lambda to its derivative."""
        value, derivative = self._costs
        self._steps.monitor_end()
        self._lambda.set(0.0)
        if value is None or derivative is None:
            return cost
        derivative(self._u, self._lambda, self._accumulators.get("parameters"))
        return cost + value(self._u)

    def pull_back(self, start: int, stop: int) -> None:
        """Pull lambda back from `stop` to `start`. Collective."""
        tape = self._tapes.pop((start, stop))
        gradient = self._accumulators.get("parameters")
        # NumPy may have written to it: invalidate the norms that PETSc caches.
        self._lambda.stateIncrease()
        if tape.end is not None:
            self._values[...] = tape.end
        for k, (step, (before, *stages)) in reversed(list(enumerate(tape.steps, start))):
            self._steps.pull_back(k, step, before, stages, self._lambda, gradient)
        tape.give_back()

    def finish(self) -> None:
        """Add lambda at step 0 to the gradient of the initial solution."""
        self._accumulators["initial"] += self._adjoint["u"]
        self._steps.rewind()

    # -- beside the protocol ------------------------------------------------------------------

    @property
    def comm(self) -> Any:
        """The communicator of the TS, as mpi4py's: pass it to `adjoint.gradient`."""
        return self._ts.comm.tompi4py()

    # -- construction -------------------------------------------------------------------------

    def _admit(
        self, parameters: Vec | NDArray[Any] | None, costs: tuple[tuple[Any, Any], ...]
    ) -> None:
        """Raise on all ranks if PETSc cannot reverse this TS."""
        error: Exception | None = None
        lacks = lacks_jacobian(self._ts)  # collective, so before a check may fail on one rank
        try:
            check_vectors(self._ts, self._u, parameters)
            if any((value is None) != (derivative is None) for value, derivative in costs):
                raise ArgumentError(
                    "give every cost with its derivative: terminal_cost_vjp, step_cost_vjp"
                )
            check_ts(self._ts, parameters=parameters is not None, lacks=lacks)
            check_quadrature(self._ts, parameters=parameters is not None)
        except (AdjointError, PETSc.Error) as refused:
            error = refused
        sizes = self._agree(error, np.size(parameters) if isinstance(parameters, np.ndarray) else 0)
        if len(set(sizes)) > 1:
            raise ArgumentError(
                f"an array of parameters must be the same on all ranks, but the sizes are {sizes}: "
                "use a Vec for parameters distributed over ranks"
            )

    def _agree(self, error: Exception | None, value: Any = None) -> list[Any]:
        """Raise if a rank has an error; return the values of all ranks."""
        ranks = communicator(self.comm if self._ts.comm.size > 1 else None)
        try:
            ranks.agree(error)
            return ranks.gather(value)
        finally:
            ranks.free()

    def _add_parameters(self, parameters: Vec | NDArray[Any] | None) -> Vec | None:
        """Add the control and its accumulator; return PETSc's mu, in the accumulator's memory."""
        if parameters is None:
            return None
        if isinstance(parameters, np.ndarray):
            control, comm = parameters, self._ts.comm
            layout = PETSc.Vec().createMPI(control.size, comm=comm)
            own, size = slice(*layout.getOwnershipRange()), layout.getSizes()
        else:
            control, comm = parameters.getArray(), parameters.comm
            own, size = slice(None), parameters.getSizes()
        total = np.zeros_like(control)
        self._controls["parameters"], self._accumulators["parameters"] = control, total
        memory: Any = total[own]
        return PETSc.Vec().createWithArray(memory, size=size, comm=comm)

    def _set_up(self) -> Stages:
        """Set the TS up for adjoint steps. The set-up needs a trajectory; the steps do not."""
        ts, error, stages = self._ts, None, None
        try:
            ts.setErrorIfStepFails(False)
            ts.adjointReset()  # an earlier stepper may have set it up
            ts.setSolution(self._u)
            ts.setSaveTrajectory()
            ts.setCostGradients([self._lambda], None if self._mu is None else [self._mu])
            ts.setUp()
            ts.adjointSetUp()
            ts.removeTrajectory()
            # A linear TS reuses Jacobians, whose shift it changes back and forth with round-off.
            ts.setProblemType(PETSc.TS.ProblemType.NONLINEAR)  # pyright: ignore[reportArgumentType]
            stages = Stages(ts, self._u)
        except Exception as failed:  # perhaps on this rank only, in a callback
            error = failed
            if isinstance(failed, PETSc.Error):
                error = StepperError(f"PETSc cannot set up this TS: {explanation(failed)}")
                error.__cause__ = failed
                if isinstance(failed.__cause__, Exception):
                    error = failed.__cause__
        self._agree(error)
        assert stages is not None
        return stages

    def _check_unchanged(self) -> None:
        """Refuse a TS whose stages are no longer those that it had at construction."""
        if scheme(self._ts) != self._scheme:
            raise StepperError(
                f"the method of the TS was changed from {self._scheme} to {scheme(self._ts)} after "
                "the stepper was made: make a new one from a new TS"
            )
        if not self._ts.getSolution():
            raise StepperError("the TS was reset after the stepper was made: make a new one")
        if cost_gradient(self._ts) != self._lambda.handle:
            raise StepperError(
                "the TS has the cost gradients of another stepper, or others set by "
                "ts.setCostGradients: use the stepper that was made last"
            )

    def _check_position(self, start: int) -> None:
        if start != self._steps.position:
            raise StepperError(
                f"the solution is at step {self._steps.position}, not {start}: if the TS ends "
                "there, at its maximum time or number of steps, num_steps must not be larger"
            )
