"""One cost functional, evaluated again and again: plan, buffers and file are kept between times.

`Functional` is what an optimiser calls. The first gradient measures and plans; later ones play
the same schedule in the same buffers and the same file.
"""

import math
import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.driver.evaluate import Equipment
from adjoint.driver.options import Wishes
from adjoint.driver.prepare import prepare
from adjoint.errors import ArgumentError, NonFiniteError, StepperError
from adjoint.parallel import Communicator, communicator, require_same
from adjoint.reporting.progress import ProgressBar
from adjoint.reporting.report import Report
from adjoint.reporting.timeline import Timeline, TimelineRecorder
from adjoint.reporting.trace_file import write_trace
from adjoint.schedules import Schedule
from adjoint.steppers.checks import check_controls, check_num_steps, check_stepper
from adjoint.steppers.protocol import Stepper

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Functional"]

ENGINES = (None, "mpi", "thread", "direct")

SUMMED_TOGETHER = 1 << 22
"""Gradients of no more bytes are summed in one reduction, all of one dtype: many are small."""

STEPS_AT_ONCE = 1 << 16
"""Of a run whose end is not known: it may stop in the middle of them."""


class Functional:
    """The cost of a stepper's run and its gradient with respect to the stepper's controls.

    Collective on `comm`: every rank makes every call, with the same arguments. A context manager;
    leaving it, or `close`, gives back memory and file.

    Parameters
    ----------
    stepper
        What is stepped; see `adjoint.Stepper` and `adjoint.FunctionStepper`. It is the
        functional's to drive until `close`. Costs are measured by running its first steps.
    num_steps
        How many steps there are, on every rank; None if only the stepper knows: it then has
        `finished` and `position`, see `adjoint.Stepper`.
    comm
        The mpi4py communicator whose ranks compute together; None is one process.
    memory
        Bytes per rank for all snapshots, buffers and tapes: an integer, or text like "512 MiB".
        By default a quarter of the machine's, shared by the ranks.
    file
        Where states may be stored besides: a path, which is kept, or an existing folder, where a
        temporary file is made and removed. Without it all states stay in memory. A file that is
        kept has a journal as well, from which a killed run can be resumed.
    disk
        Bytes the file may hold in total, all ranks together; by default as many as are wanted.
    schedule
        Overrides the planner: nothing is measured.
    engine
        How the file is written: "mpi" (nonblocking MPI I/O), "thread" (a transfer thread), "direct"
        (one that passes the page cache by), or a function of (comm, placement) that returns an
        `adjoint.storage.engines.base.Engine`. By default what is measured to be best.
    file_per_node
        Make one file for the ranks of each node, where one for all would be the bottleneck: `file`
        with the node's first rank in its name, in a folder that may be local to the node.
    resume
        Go on with the run that `file` was left by, when it was killed or told to end, in either
        sweep. It must be of the same problem, on as many ranks. If it was of other controls, or
        there is no such file, the evaluation begins afresh: so a script can always say True.
    max_lost_share
        The share of a run's time so far that a kill may lose, between 0 and 1: the journal is
        written as often as that takes, but for at most half a per cent of the time.
    progress
        Show a progress bar on rank 0.
    trace
        A file for the timeline of every rank, in the trace-event format that Perfetto opens;
        written anew by every gradient. `timeline` holds it too.

    Raises
    ------
    ArgumentError, StepperError, SnapshotFileError
        On every rank, before anything is computed or overwritten.
    """

    def __init__(
        self,
        stepper: Stepper,
        num_steps: int | None,
        *,
        comm: Any = None,
        memory: int | str | None = None,
        file: str | os.PathLike[str] | None = None,
        disk: int | str | None = None,
        schedule: Schedule | None = None,
        engine: "str | EngineFactory | None" = None,
        file_per_node: bool = False,
        resume: bool = False,
        max_lost_share: float = 0.05,
        progress: bool = False,
        trace: str | os.PathLike[str] | None = None,
    ) -> None:
        self.report: Report | None = None
        self.timeline: Timeline | None = None
        self._stepper = stepper
        self._comm = communicator(comm)
        self._progress = progress
        self._trace = trace
        self._equipment: Equipment | None = None
        self._closed = False
        self._wishes = Wishes(
            num_steps, memory, disk, file, schedule, engine, file_per_node, resume, max_lost_share
        )
        with self._comm.failing():
            self._admit()

    @property
    def stepper(self) -> Stepper:
        """What is stepped."""
        return self._stepper

    @property
    def comm(self) -> Communicator:
        """The ranks that compute together, on a communicator of their own."""
        return self._comm

    @property
    def num_steps(self) -> int | None:
        """How many steps there are; None if only the stepper knows."""
        return self._wishes.num_steps

    @property
    def schedule(self) -> Schedule:
        """The schedule that gradients play. Collective: the first call measures and plans."""
        return self._equip().schedule

    def value(self, controls: Mapping[str, ArrayLike] | None = None) -> float:
        """Return the cost, summed over ranks, by stepping forward once. Nothing is stored.

        `controls` are copied into the stepper's first; without them they are what they are.
        """
        self._set(controls)
        with self._comm.failing():
            self._stepper.start()
            return self._total(self._stepper.turn(self._swept()))

    def value_and_gradient(
        self, controls: Mapping[str, ArrayLike] | None = None
    ) -> tuple[float, dict[str, NDArray[Any]]]:
        """Return the cost and the gradient with respect to every control, summed over ranks.

        `controls` are copied into the stepper's first. The gradient's arrays are fresh copies,
        yours to keep, shaped as the controls; those of `distributed` controls are this rank's
        part. Where the stepper's accumulator is not held in memory (a memory map, an HDF5
        dataset), it is itself returned, and the next evaluation overwrites it.

        Raises
        ------
        NonFiniteError
            The cost, the final state or one that was written is not finite.
        RunInterruptedError
            SIGUSR1 or SIGTERM told the process to end; what `resume` needs is in the file.
        """
        self._set(controls)
        equipment = self._equip()
        with self._comm.failing():
            cost = self._sweep(equipment)
            total = self._total(cost)
            return total, self._gradient()

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Collective."""
        equipment, self._equipment = self._equipment, None
        if equipment is not None:
            equipment.close()
        if not self._closed:
            self._closed = True
            self._comm.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------

    def _admit(self) -> None:
        wishes = self._wishes
        error: Exception | None = None
        try:
            check_stepper(self._stepper)
            check_num_steps(wishes.num_steps, self._stepper)
            if not 0 < wishes.max_lost_share < 1:
                raise ArgumentError(
                    f"max_lost_share={wishes.max_lost_share}: it is a share, between 0 and 1"
                )
            if not callable(wishes.engine) and (
                wishes.engine not in ENGINES or (wishes.engine == "mpi" and self._comm.mpi is None)
            ):
                raise ArgumentError(
                    f'engine={wishes.engine!r}: it is "thread" or "direct", or with a comm "mpi", '
                    "or a function of (comm, placement)"
                )
            if wishes.disk is not None and wishes.file is None:
                raise ArgumentError("disk= is a budget for file=, which is not given")
            if wishes.resume and (wishes.file is None or os.path.isdir(wishes.file)):
                raise ArgumentError("resume=True needs file=, a path that the run before had")
        except (ArgumentError, TypeError) as refused:
            error = refused
        self._comm.agree(error)
        require_same(
            self._comm,
            num_steps=wishes.num_steps,
            memory=wishes.memory,
            disk=wishes.disk,
            file=None if wishes.file is None else os.fspath(wishes.file),
            schedule=wishes.schedule,
            engine=wishes.engine,
            file_per_node=wishes.file_per_node,
            resume=wishes.resume,
            max_lost_share=wishes.max_lost_share,
            trace=self._trace,
            names=list(self._stepper.state),
            controls=list(self._stepper.controls),
        )

    def _equip(self) -> Equipment:
        if self._equipment is None:
            with self._comm.failing():
                self._equipment = prepare(self._stepper, self._wishes, self._comm)
        return self._equipment

    def _set(self, controls: Mapping[str, ArrayLike] | None) -> None:
        error: Exception | None = None
        given = controls or {}
        try:
            check_controls(self._stepper, given)
        except ArgumentError as refused:
            error = refused
        with self._comm.failing():
            self._comm.agree(error)
        for name, value in given.items():
            self._stepper.controls[name][...] = value

    def _swept(self) -> float:
        """Step forward to the end; return this rank's cost."""
        stepper, cost = self._stepper, 0.0
        if self.num_steps is not None:
            cost = _counted(stepper.advance(0, self.num_steps, cost=cost))
            reached = getattr(stepper, "position", self.num_steps)
            if reached != self.num_steps:
                raise StepperError(
                    f"asked for {self.num_steps} steps, the stepper came to step {reached}: "
                    "num_steps=None takes as many as there are"
                )
            return cost
        step = 0
        while not step or not getattr(stepper, "finished", False):
            cost = _counted(stepper.advance(step, step + STEPS_AT_ONCE, cost=cost))
            step = int(getattr(stepper, "position", 0))
        return cost

    def _sweep(self, equipment: Equipment) -> float:
        self.timeline = None
        if not self._progress or self._comm.rank:
            return self._play(equipment, None)
        with ProgressBar(self.num_steps) as bar:
            return self._play(equipment, bar)

    def _play(self, equipment: Equipment, bar: ProgressBar | None) -> float:
        recorder = None if self._trace is None else TimelineRecorder()
        observers = [observer for observer in (bar, recorder) if observer is not None]
        cost, self.report = equipment.evaluate(self._stepper, self.num_steps, self._comm, observers)
        if recorder is not None and self._trace is not None:
            self.timeline = recorder.timeline()
            write_trace(self._trace, self.timeline, self._comm)
        return cost

    def _total(self, cost: float) -> float:
        total = math.fsum(self._comm.gather(cost))
        if not math.isfinite(total):
            steps = self._comm.gather(getattr(self._stepper, "first_non_finite", None))
            known = [step for step in steps if step is not None]
            where = f", and was not finite first in step {min(known)}" if known else ""
            self._comm.agree(NonFiniteError(f"the cost is {total}, summed over all ranks{where}"))
        return total

    def _gradient(self) -> dict[str, NDArray[Any]]:
        distributed = getattr(self._stepper, "distributed", ())
        gradient: dict[str, NDArray[Any]] = {}
        small: dict[np.dtype[Any], list[NDArray[Any]]] = {}
        for name, grown in self._stepper.accumulators.items():
            in_memory = type(grown) is np.ndarray
            gradient[name] = grown.copy() if in_memory else grown
            if name in distributed:
                continue
            if in_memory and grown.nbytes <= SUMMED_TOGETHER:
                small.setdefault(grown.dtype, []).append(gradient[name])
            else:
                _sum_over_ranks(gradient[name], self._comm)
        for arrays in small.values():
            _sum_together(arrays, self._comm)
        return gradient


def _counted(cost: float | None) -> float:
    assert cost is not None, "a running total was given"
    return cost


def _sum_together(arrays: list[NDArray[Any]], comm: Communicator) -> None:
    """Replace arrays of one dtype by their sums over ranks, in one reduction."""
    if comm.size == 1:
        return
    joined = np.concatenate([array.reshape(-1) for array in arrays])
    comm.sum(joined)
    start = 0
    for array in arrays:
        array[...] = joined[start : start + array.size].reshape(array.shape)
        start += array.size


def _sum_over_ranks(array: NDArray[Any], comm: Communicator) -> None:
    if comm.size == 1:
        return
    if array.ndim == 0 or type(array) is np.ndarray:
        comm.sum(array)
        return
    for row in range(array.shape[0]):
        total = np.array(array[row])
        comm.sum(total)
        array[row] = total
