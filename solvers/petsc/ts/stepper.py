"""A user's own PETSc TS as a stepper: its steps, its options, PETSc's own adjoint step.

PETSc's `TSAdjointSolve` needs every state and stage of the run, from a trajectory object that keeps
them in memory or writes them to files, a file a step. Its adjoint *step*, though, needs only the
stages of one step, and TS has those from taking it. So here ::

    first sweep    step                                       F
    reverse sweep  make u[k] live, step again, adjointStep    F + A

and where the states come from is the schedule's affair: ``2 F + A`` if there is room for all, and
a little more if there is not. Zhang, Constantinescu and Smith 2022 (doi:10.1137/21M140078X)
describe the adjoint step. How a step is taken again with the same bits is told in
`solvers.petsc.ts.steps`; what is refused, in `solvers.petsc.ts.checks`.

Import petsc4py and give it the command line first: ``petsc4py.init(sys.argv)``. Then options are
what they are for any PETSc program, those of this TS with its prefix.
"""

import hashlib
from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (petsc4py needs it loaded)
import numpy as np
from numpy.typing import ArrayLike, NDArray
from petsc4py import PETSc

from adjoint.errors import AdjointError, ArgumentError, StepperError
from adjoint.parallel import communicator
from adjoint.steppers.protocol import Arrays, Scratch, copy_arrays, state_bytes
from solvers.petsc.errors import explanation
from solvers.petsc.ts.checks import (
    check_quadrature,
    check_ts,
    check_vectors,
    is_reproducible,
    may_reject,
)
from solvers.petsc.ts.steps import StepCost, StepCostVjp, Steps

__all__ = ["TSStepper"]

TS = Any
Vec = Any


class TSStepper:
    """Step and reverse a TS that is configured as for `TS.solve`. Making one is collective.

    The controls are ``initial``, this rank's part of the initial solution, and ``parameters`` if
    there are any. The state is ``u``, this rank's part of the solution, and the adjoint of the same
    name is PETSc's lambda: views of PETSc's memory, not copies. Besides, the state has a ``clock``:
    its time, and the size that the next step is tried with.

    Parameters
    ----------
    ts
        Its type, problem, time, time step and options are set (`TS.setFromOptions` was called). It
        is the stepper's to drive from now on, and any trajectory of it is removed. A quadrature TS
        (`TS.createQuadratureTS`) is a running cost: this rank's part of the integral.
    u
        The initial solution. It becomes the TS's solution: its memory is the live state.
    terminal_cost
        ``terminal_cost(u)`` returns this rank's part of a cost of the final solution: the parts of
        all ranks are added, so sum over ``u.getArray(readonly=True)``, not ``u.norm()``.
    terminal_cost_vjp
        ``terminal_cost_vjp(u, adjoint, gradient)`` adds its derivatives: to the Vec `adjoint`,
        which is zero, that with respect to the solution; to the array `gradient`, shaped as the
        parameters (None without), that with respect to the parameters.
    step_cost
        ``step_cost(ts, step, time, u)`` returns this rank's part of a cost of the solution before
        each step; the arguments are those of a TS monitor.
    step_cost_vjp
        ``step_cost_vjp(ts, step, time, u, adjoint, gradient)`` adds its derivatives, as above.
    parameters
        What `TS.setRHSJacobianP` or `TS.setIJacobianP` differentiate with respect to. A Vec is
        laid out over the ranks as the columns of that matrix; its part here is the control. A
        NumPy array is the same on all ranks, and the columns are laid out as PETSc decides. The
        callbacks read them from this very Vec or array, which is kept, not copied.

    Raises
    ------
    StepperError
        PETSc cannot reverse this TS rightly: a type without an adjoint, events, parameter gradients
        that this version gets wrong, a missing Jacobian. On all ranks.
    ArgumentError
        Vectors of the wrong kind or on another communicator; a cost without its derivative.

    Notes
    -----
    What a step needs from a pre-step function must follow from time and step number: see
    `solvers.petsc.ts.steps`. Steps are taken with their sizes as PETSc adapts them; the number of
    steps is then the TS's affair, and `finished` says when it is at its maximum time or number of
    steps. With a quadrature TS, monitors are called before and after every step.
    """

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
        self._set_up()
        self._steps = Steps(
            ts,
            u,
            self._values,
            step_cost=step_cost,
            step_cost_vjp=step_cost_vjp,
            rejects=may_reject(ts),
        )
        self._state: Arrays = {"u": self._values, "clock": self._steps.clock}
        self._adjoint: Arrays = {"u": self._lambda.getArray()}
        self._scratch = Scratch(lambda: {k: np.zeros_like(v) for k, v in self._state.items()})
        self._tapes: dict[tuple[int, int], list[Arrays]] = {}
        self.reproducible = is_reproducible(ts)
        self.distributed = ("initial", "parameters") if self._parameters else ("initial",)

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live primal state: this rank's part of the solution, and the clock."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint state: this rank's part of PETSc's lambda."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """The initial solution, and the parameters."""
        return self._controls

    @property
    def accumulators(self) -> Arrays:
        """The gradients as they grow: that of the parameters in PETSc's mu."""
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
        """Time and size of every step that was taken so far, one row a step."""
        return self._steps.accepted.rows()

    def accept_steps(self, rows: ArrayLike) -> None:
        """Have these steps taken, from now on and in every run; with no rows, adapt them anew."""
        self._steps.accepted.set(np.reshape(rows, (-1, 2)))

    def tape_bytes(self, steps: int) -> int:
        """Memory for the tape of one `record`: its states."""
        return steps * state_bytes(self._state)

    def fingerprint(self) -> str:
        """Return a hash of method, size and first step, the same on all ranks."""
        ts = self._ts
        told = (ts.getType(), self._u.getSize(), self._steps.first, ts.getOptionsPrefix())
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def start(self) -> None:
        """Make the state the initial solution, accumulators zero."""
        self._values[...] = self._controls["initial"]
        for total in self._accumulators.values():
            total[...] = 0
        if self._parameters is not None:
            self._parameters.stateIncrease()
        self._tapes.clear()
        self._scratch.begin()
        self._steps.begin()

    def restored(self, step: int) -> None:
        """Note that the solution has been overwritten with that at `step`."""
        self._steps.place(step)

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Take the steps from `start` to `stop`, or to the end of the TS. Collective.

        At the end there is nothing more to do: how many steps there are may not be known.
        """
        if not self._steps.ended:
            self._check_position(start)
        return self._steps.advance(stop, cost)

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Take the steps from `start` to `stop`, keeping the states before each. Collective."""
        self._check_position(start)
        steps, tape = self._steps, list[Arrays]()
        while steps.position < stop and not steps.ended:
            if steps.position + 1 == stop and not reach_stop and cost is None:
                tape.append(self._state)
                break
            tape.append(self._scratch.take())
            copy_arrays(self._state, tape[-1])
            cost = steps.advance(steps.position + 1, cost)
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost; make lambda its derivative."""
        value, derivative = self._costs
        self._steps.watch()
        self._lambda.set(0.0)
        if value is None or derivative is None:
            return cost
        derivative(self._u, self._lambda, self._accumulators.get("parameters"))
        return cost + value(self._u)

    def pull_back(self, start: int, stop: int) -> None:
        """Take lambda from `stop` to `start`: each step once more, and back. Collective."""
        tape = self._tapes.pop((start, stop))
        gradient = self._accumulators.get("parameters")
        # It may have been written to behind PETSc's back, which keeps norms of what it knows.
        self._lambda.stateIncrease()
        for k in reversed(range(start, start + len(tape))):
            if tape[k - start] is not self._state:
                copy_arrays(tape[k - start], self._state)
            self._steps.pull_back(k, self._lambda, gradient)
        self._scratch.give_back([state for state in tape if state is not self._state])

    def finish(self) -> None:
        """Add lambda, now at step 0, to the gradient of the initial solution."""
        self._accumulators["initial"] += self._adjoint["u"]
        self._steps.rewind()

    # -- beside it ----------------------------------------------------------------------------

    @property
    def comm(self) -> Any:
        """The ranks of the TS, as mpi4py's communicator: what `adjoint.gradient` is to be given."""
        return self._ts.comm.tompi4py()

    # -- inside -------------------------------------------------------------------------------

    def _admit(
        self, parameters: Vec | NDArray[Any] | None, costs: tuple[tuple[Any, Any], ...]
    ) -> None:
        """Refuse what cannot be reversed, on all ranks."""
        error: Exception | None = None
        try:
            check_vectors(self._ts, self._u, parameters)
            if any((value is None) != (derivative is None) for value, derivative in costs):
                raise ArgumentError(
                    "a cost comes with its derivative: terminal_cost_vjp, step_cost_vjp"
                )
            check_ts(self._ts, parameters=parameters is not None)
            check_quadrature(self._ts, parameters=parameters is not None)
        except (AdjointError, PETSc.Error) as refused:
            error = refused
        sizes = self._agree(error, np.size(parameters) if isinstance(parameters, np.ndarray) else 0)
        if len(set(sizes)) > 1:
            raise ArgumentError(
                f"parameters in an array are the same on all ranks, not of the sizes {sizes}: "
                "where every rank has its own, they are a Vec"
            )

    def _agree(self, error: Exception | None, said: Any = None) -> list[Any]:
        """Raise if a rank has an error; return what all ranks say."""
        ranks = communicator(self.comm if self._ts.comm.size > 1 else None)
        try:
            ranks.agree(error)
            return ranks.gather(said)
        finally:
            ranks.free()

    def _add_parameters(self, parameters: Vec | NDArray[Any] | None) -> Vec | None:
        """Add the control and its accumulator; return PETSc's mu, which has the latter's memory."""
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

    def _set_up(self) -> None:
        """Make TS ready for adjoint steps: their set-up wants a trajectory, the steps do not."""
        ts, error = self._ts, None
        try:
            ts.setErrorIfStepFails(False)
            ts.adjointReset()  # it may have been another stepper's
            ts.setSolution(self._u)
            ts.setSaveTrajectory()
            ts.setCostGradients([self._lambda], None if self._mu is None else [self._mu])
            ts.setUp()
            ts.adjointSetUp()
            ts.removeTrajectory()
        except PETSc.Error as failed:
            error = StepperError(f"PETSc cannot set up this TS: {explanation(failed)}")
            error.__cause__ = failed
        self._agree(error)

    def _check_position(self, start: int) -> None:
        if start != self._steps.position:
            raise StepperError(
                f"the solution is at step {self._steps.position}, not {start}: does the TS end "
                "there, at its maximum time or number of steps? Then num_steps must not be more"
            )
