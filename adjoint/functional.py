"""The cost of a stepper's run and its gradient: once, `gradient`, or repeatedly, `Functional`.

`Functional` is what an optimiser calls. The first gradient measures and plans; later ones play the
schedule, adapted to what was measured, in the same buffers and the same file.
"""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Unpack

from numpy.typing import ArrayLike, NDArray

from adjoint.closing import Closing
from adjoint.driver import constants
from adjoint.driver.calls import Calls
from adjoint.driver.controls import Controls
from adjoint.driver.costs import sum_costs, warn_of_forgotten_comm
from adjoint.driver.evaluations import Evaluations
from adjoint.driver.forward import fingerprint, forward_cost
from adjoint.driver.gradients import sum_gradients
from adjoint.driver.options import Options, RunOptions, require_known
from adjoint.driver.run import Run, RunPlan
from adjoint.driver.second_order import Products, SecondOrder
from adjoint.errors import AdjointError, ArgumentError, StepperError
from adjoint.parallel import Communicator, agree_on, communicator, require_same
from adjoint.planning.planner import Plan
from adjoint.reporting.progress import ProgressBar
from adjoint.reporting.report import Report
from adjoint.reporting.timeline import Timeline, TimelineRecorder
from adjoint.reporting.trace_file import require_writable, write_trace
from adjoint.schedules import Schedule
from adjoint.steppers import Capabilities, Stepper
from adjoint.steppers.checks import check_controls, check_num_steps, check_stepper
from adjoint.sweep.observers import Observer

__all__ = ["Functional", "Result", "gradient"]


@dataclass(frozen=True, slots=True)
class Result:
    """A cost, its gradient, and what it took to compute them."""

    cost: float
    """The cost, summed over ranks."""
    gradient: dict[str, NDArray[Any]]
    """The gradient by control: fresh arrays, shaped as the controls."""
    report: Report
    """What was done, and what it took, on this rank."""
    timeline: Timeline | None = None
    """When each action ran, on this rank, if `trace` was given."""


def gradient(stepper: Stepper, num_steps: int | None, **options: Unpack[RunOptions]) -> Result:
    """Return the cost of a stepper's run and its gradient at the stepper's present controls.

    The gradient is exact: the derivative of the steps as they are computed. For a reproducible
    stepper it has the same bits whatever the memory, the file and the schedule. Arguments and
    errors are those of `Functional`, which evaluates a gradient repeatedly. Collective.
    """
    require_known(options, "gradient")
    with _Once(stepper, num_steps, **options) as functional:
        cost, found = functional.value_and_gradient()
        assert functional.report is not None
        return Result(cost, found, functional.report, functional.timeline)


class Functional(Closing):
    """The cost of a stepper's run and its gradient with respect to the stepper's controls.

    Collective on `comm`: every rank makes every call, with the same arguments. A context manager;
    leaving it, or `close`, gives back memory and file.

    One call after the other may come from any threads; calls that overlap are refused. In a forked
    child every call is refused, and nothing of the parent's is closed or removed. A call may be
    interrupted anywhere, as by Ctrl-C: the next one begins afresh and is right.

    Parameters
    ----------
    stepper
        The computation; see `adjoint.Stepper` and `adjoint.FunctionStepper`. Nobody else may step
        it until `close`. Its first steps are run to measure what they cost.
    num_steps
        Number of steps, the same on every rank; None if only the stepper knows where the run ends:
        it then has `finished` and `position`, see `adjoint.Stepper`.
    **options
        `comm`, `memory`, `file`, `disk`, `schedule`, `engine`, `transfer_deadline`,
        `file_per_node`, `resume`, `overwrite`, `max_lost_share`, `check_replays`, `progress`,
        `trace`: see `adjoint.RunOptions`.

    Raises
    ------
    ArgumentError, StepperError, SnapshotFileError
        On every rank, before anything is computed or overwritten.
    CallError
        By its methods: it is closed, was made by the parent of a forked process, or another call is
        under way.
    TypeError
        There is no option of that name.

    Warns
    -----
    UserWarning
        Without `comm`, if there are several ranks, unless ``comm=MPI.COMM_SELF`` says that this is
        meant; and if all ranks of MPI's world return the same cost for different parts.
    """

    _evaluations = constants.EXPECTED_EVALUATIONS

    def __init__(
        self, stepper: Stepper, num_steps: int | None, **options: Unpack[RunOptions]
    ) -> None:
        require_known(options, "Functional")
        self.report: Report | None = None
        """Figures of the last gradient; None before the first."""
        self.timeline: Timeline | None = None
        """When each action of the last gradient ran; None without `trace`."""
        self._stepper = stepper
        self._num_steps = num_steps
        self._given_comm = options.get("comm")
        self._comm = communicator(self._given_comm)
        if self._comm.mpi is None:
            warn_of_forgotten_comm()
        self._calls = Calls()
        self._is_sound = True
        """Whether the last call has ended with a result, or with an error that all ranks raised."""
        try:
            with self._comm.failing():
                self._options = self._admit(num_steps, options)
                self._open()
        except BaseException:
            self._comm.free()
            raise

    @property
    def stepper(self) -> Stepper:
        """The stepper that was given."""
        return self._stepper

    @property
    def comm(self) -> Communicator:
        """The ranks that compute together, on a communicator of their own."""
        return self._comm

    @property
    def num_steps(self) -> int | None:
        """Number of steps; None if only the stepper knows where the run ends."""
        return self._run.num_steps

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the next gradient; None before the first and before `plan`."""
        self._calls.require_usable()
        return None if self._gradients.plan is None else self._gradients.plan.schedule

    def plan(self) -> Plan:
        """Return the plan for the next gradient: its schedule, the predicted time, and why.

        Collective. The first call measures steps and transfers, unless a gradient was evaluated
        before or the caller gave a schedule. The run's file is not created or overwritten.

        Raises
        ------
        ArgumentError, SnapshotFileError
            On every rank: memory or disk is too small, the file cannot be used.
        """
        with self._calls.one_at_a_time(self._comm), self._call():
            Controls(self._run)
            self._products.close()
            plan = self._gradients.planned()
        return Plan(plan.schedule, plan.predicted_seconds, plan.reason)

    def value(self, controls: Mapping[str, ArrayLike] | None = None) -> float:
        """Return the cost, summed over ranks, by stepping forward once. Nothing is stored.

        `controls` are first copied into the stepper's, which otherwise stay as they are.
        """
        with self._calls.one_at_a_time(self._comm), self._call():
            self._set(controls)
            return forward_cost(self._run)

    def value_and_gradient(
        self, controls: Mapping[str, ArrayLike] | None = None
    ) -> tuple[float, dict[str, NDArray[Any]]]:
        """Return the cost and the gradient with respect to every control, summed over ranks.

        `controls` are first copied into the stepper's, which otherwise stay as they are. The
        gradient's arrays are fresh copies, yours to keep, shaped as the controls; those of
        `distributed` controls are this rank's part. Where the stepper's accumulator is not held in
        memory (a memory map, an HDF5 dataset), it is itself returned, and the next evaluation
        overwrites it.

        Raises
        ------
        NonFiniteError
            The cost, the final state, one that was written, or the gradient is not finite.
        ReplayError
            A step gave something else when it was taken again: see `check_replays`.
        StepperError
            The stepper has changed its controls.
        RunInterruptedError
            SIGUSR1 or SIGTERM asked the process to end; what `resume` needs is in the file.
        """
        with self._calls.one_at_a_time(self._comm), self._call():
            self._set(controls)
            self._products.close()
            part = self._sweep()
            cost = sum_costs(part, self._run, self._stepper.accumulators)
            distributed = self._run.capabilities.distributed
            return cost, sum_gradients(self._stepper.accumulators, distributed, self._comm)

    def second_order(
        self,
        directions: Mapping[str, ArrayLike],
        controls: Mapping[str, ArrayLike] | None = None,
        *,
        gauss_newton: bool = False,
        block: int | None = None,
    ) -> SecondOrder:
        """Return the products of the cost's Hessian, or of its Gauss-Newton part, with directions.

        They are exact derivatives of the gradient as it is computed.

        Parameters
        ----------
        directions
            By the name of a control, shaped as it with a leading axis that counts the directions;
            zero for controls left out. The same on all ranks unless the control is `distributed`.
        controls
            Copied into the stepper's first, which otherwise stay as they are.
        gauss_newton
            Whether to leave out the second derivatives of steps and initial state.
        block
            How many directions share one evaluation, whose states are 1 + `block` times as large.
            Default: what is predicted to be the fastest in the memory there is.

        Raises
        ------
        ArgumentError, StepperError
            On every rank: directions that do not fit the controls, a stepper without second
            derivatives, or one whose second derivatives are found to be wrong.
        NonFiniteError, ReplayError, RunInterruptedError
            As `value_and_gradient` does.
        """
        return self._differentiated(directions, controls, block, gauss_newton=gauss_newton)

    def hessian_product(
        self, direction: Mapping[str, ArrayLike], controls: Mapping[str, ArrayLike] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the Hessian's product with one direction, shaped as the controls."""
        found = self._differentiated(direction, controls, single=True)
        return {name: product[0] for name, product in found.products.items()}

    def gauss_newton_product(
        self, direction: Mapping[str, ArrayLike], controls: Mapping[str, ArrayLike] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the Gauss-Newton product with one direction, shaped as the controls."""
        found = self._differentiated(direction, controls, single=True, gauss_newton=True)
        return {name: product[0] for name, product in found.products.items()}

    def fingerprint(self) -> str:
        """Return a digest of what the cost depends on besides the controls: see `resume`.

        The same on every rank. The first call takes a step, to tell data from scratch memory.
        """
        with self._calls.one_at_a_time(self._comm), self._call():
            return fingerprint(self._run)

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Collective.

        Closing again does nothing, and neither does closing in a forked child.
        """
        if self._calls.is_own:
            with self._calls.one_at_a_time(self._comm):
                self._calls.close()
                self._release()

    # -- inside -------------------------------------------------------------------------------

    def _open(self, plan: RunPlan | None = None) -> None:
        """Make what calls use. Nothing is measured, created or opened before they do."""
        self._run = Run.of(self._stepper, self._num_steps, self._options, self._comm)
        self._gradients = Evaluations(self._run, self._evaluations, plan)
        self._products = Products(self._gradients, self._evaluations)

    def _release(self) -> None:
        """Give back what calls have used. Idempotent, also where it was interrupted."""
        with ExitStack() as released:
            released.callback(self._comm.free)
            released.callback(self._gradients.close)
            released.callback(self._products.close)

    @contextmanager
    def _call(self) -> Generator[None, None, None]:
        """Fail on all ranks; after anything but a result or an error of ours, begin afresh.

        Ctrl-C, or a handler of a signal that raises, may come between any two instructions, and
        leave blocks in nobody's hands, transfers that nobody waits for, ranks at different calls.
        """
        self._calls.require_usable()
        if not self._is_sound:
            self._begin_afresh()
        self._is_sound = False
        try:
            with self._comm.failing():
                yield
        except AdjointError as error:
            self._is_sound = self._is_known(error)
            raise
        self._is_sound = True

    def _begin_afresh(self) -> None:
        """Close what the last call has used, and use nothing of it again. Collective."""
        with self._comm.failing():
            with suppress(AdjointError):
                self._release()
            self._comm = communicator(self._given_comm)
            self._open(self._gradients.plan)

    def _is_known(self, error: BaseException | None) -> bool:
        """Whether an error is one of ours, on all ranks, and did not come of another."""
        if self._comm.size > 1:
            return error is not None and self._comm.has_agreed(error)
        while isinstance(error, AdjointError):
            error = error.__cause__ or error.__context__
        return error is None

    def _admit(self, num_steps: int | None, given: RunOptions) -> Options:
        """Return the options, once all ranks have found everything in order, and the same."""

        def checked() -> tuple[int | None, Options]:
            check_stepper(self._stepper)
            return check_num_steps(num_steps, self._stepper), Options.parse(given, self._comm)

        refusals = (ArgumentError, StepperError, TypeError)
        steps, options = agree_on(checked, self._comm, catch=refusals)
        require_same(
            self._comm,
            num_steps=steps,
            **options.compared(),
            reproducible=Capabilities.of(self._stepper).reproducible,
            names=list(self._stepper.state),
            controls=list(self._stepper.controls),
        )
        if options.trace is not None:
            require_writable(options.trace, self._comm)
        return options

    def _differentiated(
        self,
        directions: Mapping[str, ArrayLike],
        controls: Mapping[str, ArrayLike] | None,
        block: int | None = None,
        *,
        single: bool = False,
        gauss_newton: bool = False,
    ) -> SecondOrder:
        with self._calls.one_at_a_time(self._comm), self._call():
            given, size = self._products.checked(directions, block, single=single)
            self._set(controls)
            self._gradients.close()
            with self._progress() as observers:
                return self._products.evaluate(given, size, observers, gauss_newton=gauss_newton)

    def _set(self, controls: Mapping[str, ArrayLike] | None) -> None:
        given = {} if controls is None else controls
        agree_on(lambda: check_controls(self._stepper, given), self._comm, catch=ArgumentError)
        for name, value in given.items():
            self._stepper.controls[name][...] = value

    def _sweep(self) -> float:
        """Evaluate the gradient, with progress bar and timeline; return this rank's cost."""
        trace = self._options.trace
        recorder = TimelineRecorder() if trace is not None else None
        self.timeline = None
        with self._progress() as shown:
            observers = shown if recorder is None else [recorder, *shown]
            cost, self.report = self._gradients.evaluate(observers)
            if recorder is not None and trace is not None:
                self.timeline = recorder.timeline()
                write_trace(trace, self.timeline, self._comm)
        return cost

    @contextmanager
    def _progress(self) -> Generator[list[Observer], None, None]:
        """Show a progress bar, if that is wanted: what must observe the sweep for it."""
        if self._options.progress and self._comm.rank == 0:
            with ProgressBar(self.num_steps) as bar:
                yield [bar]
        else:
            yield []


class _Once(Functional):
    """A functional that is evaluated once."""

    _evaluations = 1
