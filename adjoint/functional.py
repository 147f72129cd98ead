"""The cost of a stepper's run and its gradient: once, `gradient`, or repeatedly, `Functional`.

`Functional` is what an optimiser calls. The first gradient measures and plans; later ones play the
schedule, adapted to what was measured, in the same buffers and the same file.
"""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self, Unpack

from numpy.typing import ArrayLike, NDArray

from adjoint.driver import constants
from adjoint.driver.evaluate import Driver
from adjoint.driver.gradients import sum_gradients
from adjoint.driver.options import Options, RunOptions, require_known
from adjoint.driver.prepare import plan_run
from adjoint.driver.resources import Resources
from adjoint.driver.run import Run, RunPlan
from adjoint.driver.unchanged_controls import unchanged_controls
from adjoint.errors import ArgumentError, NonFiniteError, StepperError
from adjoint.parallel import Communicator, communicator, require_same
from adjoint.planning.planner import Plan
from adjoint.reporting.progress import ProgressBar
from adjoint.reporting.report import Report
from adjoint.reporting.timeline import Timeline, TimelineRecorder
from adjoint.reporting.trace_file import write_trace
from adjoint.schedules import Schedule
from adjoint.steppers import Stepper
from adjoint.steppers.checks import check_controls, check_num_steps, check_stepper
from adjoint.steppers.hooks import real_number
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
    with Functional(stepper, num_steps, **options) as functional:
        cost, found = functional.value_and_gradient()
        assert functional.report is not None
        return Result(cost, found, functional.report, functional.timeline)


class Functional:
    """The cost of a stepper's run and its gradient with respect to the stepper's controls.

    Collective on `comm`: every rank makes every call, with the same arguments. A context manager;
    leaving it, or `close`, gives back memory and file.

    Parameters
    ----------
    stepper
        The computation; see `adjoint.Stepper` and `adjoint.FunctionStepper`. Nobody else may step
        it until `close`. Its first steps are run to measure what they cost.
    num_steps
        Number of steps, the same on every rank; None if only the stepper knows where the run ends:
        it then has `finished` and `position`, see `adjoint.Stepper`.
    **options
        `comm`, `memory`, `file`, `disk`, `schedule`, `engine`, `file_per_node`, `resume`,
        `max_lost_share`, `progress`, `trace`: see `adjoint.RunOptions`.

    Raises
    ------
    ArgumentError, StepperError, SnapshotFileError
        On every rank, before anything is computed or overwritten.
    TypeError
        There is no option of that name.
    """

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
        self._plan: RunPlan | None = None
        self._driver: Driver | None = None
        with ExitStack() as opened:
            opened.callback(self._comm.free)
            with self._comm.failing():
                self._options = self._admit(num_steps, options)
                self._run = Run.of(stepper, num_steps, self._options, self._comm)
            if self._run.file is not None:
                opened.callback(self._run.file.close)
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
        plan = self._planned()
        return Plan(plan.schedule, plan.predicted_seconds, plan.reason)

    def value(self, controls: Mapping[str, ArrayLike] | None = None) -> float:
        """Return the cost, summed over ranks, by stepping forward once. Nothing is stored.

        `controls` are first copied into the stepper's, which otherwise stay as they are.
        """
        self._set(controls)
        with self._comm.failing(), unchanged_controls(self._stepper, self._comm):
            self._stepper.start()
            return self._total(real_number(self._stepper.turn(self._step_to_the_end()), "turn()"))

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
        StepperError
            The stepper has changed its controls.
        RunInterruptedError
            SIGUSR1 or SIGTERM asked the process to end; what `resume` needs is in the file.
        """
        self._set(controls)
        with self._comm.failing(), unchanged_controls(self._stepper, self._comm):
            cost = self._sweep(self._planned())
            total = self._total(cost)
            distributed = self._run.capabilities.distributed
            return total, sum_gradients(self._stepper.accumulators, distributed, self._comm)

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Collective."""
        self._driver = None
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------

    def _admit(self, num_steps: int | None, given: RunOptions) -> Options:
        """Return the options, once all ranks have found everything in order, and the same."""
        options, error = None, None
        try:
            check_stepper(self._stepper)
            num_steps = check_num_steps(num_steps, self._stepper)
            options = Options.parse(given, self._comm)
        except (ArgumentError, StepperError, TypeError) as refused:
            error = refused
        self._comm.agree(error)
        assert options is not None
        require_same(
            self._comm,
            num_steps=num_steps,
            memory=options.memory_bytes,
            disk=options.disk_bytes,
            file=options.file,
            schedule=options.schedule,
            engine=options.engine,
            file_per_node=options.file_per_node,
            resume=options.resume,
            max_lost_share=options.max_lost_share,
            trace=options.trace,
            names=list(self._stepper.state),
            controls=list(self._stepper.controls),
        )
        return options

    def _set(self, controls: Mapping[str, ArrayLike] | None) -> None:
        given = {} if controls is None else controls
        error: Exception | None = None
        try:
            check_controls(self._stepper, given)
        except ArgumentError as refused:
            error = refused
        with self._comm.failing():
            self._comm.agree(error)
        for name, value in given.items():
            self._stepper.controls[name][...] = value

    def _planned(self) -> RunPlan:
        if self._plan is None:
            with self._comm.failing():
                self._plan = plan_run(self._run)
        return self._plan

    def _sweep(self, plan: RunPlan) -> float:
        """Evaluate the gradient, with progress bar and timeline; return this rank's cost."""
        if self._driver is None:
            resources = self._opened.enter_context(Resources(self._run, plan))
            self._driver = Driver(self._run, resources)
        trace = self._options.trace
        recorder = TimelineRecorder() if trace is not None else None
        self.timeline = None
        with ExitStack() as shown:
            observers: list[Observer] = [] if recorder is None else [recorder]
            if self._options.progress and self._comm.rank == 0:
                observers.append(shown.enter_context(ProgressBar(self.num_steps)))
            cost, self.report, self._plan = self._driver.evaluate(plan, observers)
            if recorder is not None and trace is not None:
                self.timeline = recorder.timeline()
                write_trace(trace, self.timeline, self._comm)
        return cost

    def _step_to_the_end(self) -> float:
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
            return cost
        cost, step = 0.0, 0
        while not step or not has.finished:
            cost = _counted(stepper.advance(step, step + constants.STEPS_PER_CALL, cost=cost))
            step = has.position or 0
        return cost

    def _total(self, cost: float) -> float:
        """Return the cost summed over ranks, once all have found it finite."""
        total = math.fsum(self._comm.gather(cost))
        if not math.isfinite(total):
            steps = self._comm.gather(self._run.capabilities.first_non_finite)
            known = [step for step in steps if step is not None]
            where = f", and was not finite first in step {min(known)}" if known else ""
            self._comm.agree(NonFiniteError(f"the cost is {total}, summed over all ranks{where}"))
        return total


def _counted(cost: float | None) -> float:
    if cost is None:
        raise StepperError("advance() returned no cost: return the running total if one is given")
    return real_number(cost, "advance()")
