"""The cost of a stepper's run and its gradient: once, `gradient`, or repeatedly, `Functional`.

`Functional` is what an optimiser calls. The first gradient measures and plans; later ones play the
schedule, adapted to what was measured, in the same buffers and the same file.
"""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Unpack

from numpy.typing import ArrayLike, NDArray

from adjoint.closing import Closing
from adjoint.driver import constants
from adjoint.driver.calls import Calls
from adjoint.driver.controls import Controls, RowsOnDisk
from adjoint.driver.costs import sum_costs, warn_of_forgotten_comm
from adjoint.driver.evaluate import Driver
from adjoint.driver.gradients import sum_gradients
from adjoint.driver.options import Options, RunOptions, require_known
from adjoint.driver.prepare import plan_run
from adjoint.driver.resources import Resources
from adjoint.driver.run import Run, RunPlan
from adjoint.errors import ArgumentError, StepperError
from adjoint.parallel import Communicator, agree_on, communicator, require_same
from adjoint.planning.planner import Plan
from adjoint.reporting.progress import ProgressBar
from adjoint.reporting.report import Report
from adjoint.reporting.timeline import Timeline, TimelineRecorder
from adjoint.reporting.trace_file import require_writable, write_trace
from adjoint.schedules import Schedule
from adjoint.steppers import Capabilities, Stepper
from adjoint.steppers.checks import check_controls, check_num_steps, check_stepper
from adjoint.steppers.hooks import real_number
from adjoint.sweep.observers import Observer

__all__ = ["Functional", "Result", "gradient", "require_functional"]


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
    child every call is refused, and nothing of the parent's is closed or removed.

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
        self._comm = communicator(options.get("comm"))
        if self._comm.mpi is None:
            warn_of_forgotten_comm()
        self._calls = Calls(self._comm)
        self._plan: RunPlan | None = None
        self._driver: Driver | None = None
        with ExitStack() as opened:
            opened.callback(self._comm.free)
            with self._comm.failing():
                self._options = self._admit(num_steps, options)
                self._run = Run.of(stepper, num_steps, self._options, self._comm)
            if self._run.file is not None:
                opened.callback(self._run.file.close)
            opened.callback(self._run.memory.close)
            self._opened = opened.pop_all()
            """What `close` closes, last in first out."""

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
        return None if self._plan is None else self._plan.schedule

    def plan(self) -> Plan:
        """Return the plan for the next gradient: its schedule, the predicted time, and why.

        Collective. The first call measures steps and transfers, unless a gradient was evaluated
        before or the caller gave a schedule. The run's file is not created or overwritten.

        Raises
        ------
        ArgumentError, SnapshotFileError
            On every rank: memory or disk is too small, the file cannot be used.
        """
        with self._calls.one_at_a_time(), self._comm.failing():
            Controls(self._run)
            plan = self._planned()
        return Plan(plan.schedule, plan.predicted_seconds, plan.reason)

    def value(self, controls: Mapping[str, ArrayLike] | None = None) -> float:
        """Return the cost, summed over ranks, by stepping forward once. Nothing is stored.

        `controls` are first copied into the stepper's, which otherwise stay as they are.
        """
        with self._calls.one_at_a_time(), self._comm.failing():
            self._set(controls)
            rows = RowsOnDisk.of(self._run)
            with Controls(self._run).unchanged():
                self._stepper.start()
                cost = self._stepper.turn(self._step_to_the_end(rows))
            if rows is not None:
                rows.require_same(self._comm)
            return sum_costs(real_number(cost, "turn()"), self._run, self._stepper.state)

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
        with self._calls.one_at_a_time(), self._comm.failing():
            self._set(controls)
            found = Controls(self._run)
            with found.unchanged():
                part = self._sweep(self._planned(), found.hash)
            cost = sum_costs(part, self._run, self._stepper.accumulators)
            distributed = self._run.capabilities.distributed
            return cost, sum_gradients(self._stepper.accumulators, distributed, self._comm)

    def fingerprint(self) -> str:
        """Return a digest of what the cost depends on besides the controls.

        That is what a resumed run is compared by: the stepper's class and what it holds, see
        `adjoint.Stepper.fingerprint`, and the number of steps. The first call takes a step, by
        which it tells data from scratch memory. Collective; the same on every rank.
        """
        with self._calls.one_at_a_time(), self._comm.failing():
            with Controls(self._run).unchanged():
                self._stepper.start()
                with self._run.fingerprints.watching():
                    self._stepper.advance(0, 1)
                self._stepper.start()
            held = self._run.fingerprints.take("")
            known = type(self._stepper).__qualname__, self._run.num_steps, self._comm.gather(held)
            return hashlib.blake2b(repr(known).encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Collective.

        Closing again does nothing, and neither does closing in a forked child.
        """
        if not self._calls.can_close:
            return
        with self._calls.one_at_a_time():
            self._calls.close()
            self._driver = None
            self._opened.close()

    # -- inside -------------------------------------------------------------------------------

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
            memory=options.memory_bytes,
            disk=options.disk_bytes,
            file=options.file,
            schedule=options.schedule,
            engine=options.engine,
            transfer_deadline=options.transfer_deadline,
            file_per_node=options.file_per_node,
            resume=options.resume,
            overwrite=options.overwrite,
            max_lost_share=options.max_lost_share,
            check_replays=options.check_replays,
            reproducible=Capabilities.of(self._stepper).reproducible,
            trace=options.trace,
            names=list(self._stepper.state),
            controls=list(self._stepper.controls),
        )
        if options.trace is not None:
            require_writable(options.trace, self._comm)
        return options

    def _set(self, controls: Mapping[str, ArrayLike] | None) -> None:
        given = {} if controls is None else controls
        agree_on(lambda: check_controls(self._stepper, given), self._comm, catch=ArgumentError)
        for name, value in given.items():
            self._stepper.controls[name][...] = value

    def _planned(self) -> RunPlan:
        if self._plan is None:
            self._plan = plan_run(self._run, evaluations=self._evaluations)
        return self._plan

    def _sweep(self, plan: RunPlan, controls_hash: str) -> float:
        """Evaluate the gradient, with progress bar and timeline; return this rank's cost."""
        if self._driver is None:
            resources = self._opened.enter_context(Resources(self._run, plan))
            self._driver = Driver(self._run, resources)
        trace = self._options.trace
        recorder = TimelineRecorder() if trace is not None else None
        self.timeline = None
        with ExitStack() as shown:
            rows = RowsOnDisk.of(self._run)
            observers: list[Observer] = [each for each in (recorder, rows) if each is not None]
            if self._options.progress and self._comm.rank == 0:
                observers.append(shown.enter_context(ProgressBar(self.num_steps)))
            cost, self.report, self._plan = self._driver.evaluate(plan, controls_hash, observers)
            if rows is not None:
                rows.require_same(self._comm)
            if recorder is not None and trace is not None:
                self.timeline = recorder.timeline()
                write_trace(trace, self.timeline, self._comm)
        return cost

    def _step_to_the_end(self, rows: RowsOnDisk | None) -> float:
        """Step forward to the end; return this rank's cost, the terminal cost excepted."""
        stepper, has, end = self._stepper, self._run.capabilities, self.num_steps
        if end is not None:
            cost = _counted(stepper.advance(0, end, cost=0.0))
            reached = has.position
            if reached is not None and reached != end:
                raise StepperError(
                    f"asked for {end} steps, the stepper came to step {reached}: "
                    "num_steps=None takes as many as there are"
                )
            if rows is not None:
                rows.read_to(end)
            return cost
        cost, step = 0.0, 0
        while not step or not has.finished:
            cost = _counted(stepper.advance(step, step + constants.STEPS_PER_CALL, cost=cost))
            step = has.position or 0
            if rows is not None:
                rows.read_to(step)
        return cost


def require_functional(given: object, test: str) -> None:
    """Raise `ArgumentError` unless what a test is given is a `Functional`."""
    if not isinstance(given, Functional):
        raise ArgumentError(
            f"{test} takes a Functional, not {type(given).__name__}: write "
            f"with adjoint.Functional(stepper, num_steps, …) as functional: {test}(functional)"
        )


class _Once(Functional):
    """A functional that is evaluated once."""

    _evaluations = 1


def _counted(cost: float | None) -> float:
    if cost is None:
        raise StepperError("advance() returned no cost: return the running total if one is given")
    return real_number(cost, "advance()")
