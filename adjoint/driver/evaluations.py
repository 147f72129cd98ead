"""One stepper's evaluations: planned once, then played again and again in the same resources."""

from collections.abc import Sequence
from contextlib import ExitStack

from adjoint.closing import Closing
from adjoint.driver.controls import Controls, RowsOnDisk
from adjoint.driver.evaluate import Driver
from adjoint.driver.prepare import plan_run, settle_leaf
from adjoint.driver.resources import Resources
from adjoint.driver.run import Run, RunPlan
from adjoint.reporting.report import Report
from adjoint.sweep.observers import Observer

__all__ = ["Evaluations"]


class Evaluations(Closing):
    """Evaluates a run, in memory and a file that it has from the first evaluation until `close`.

    Every method is collective. After `close` it can go on, with the plan that it has: so that
    several can take turns in the memory that is allowed for one.

    Parameters
    ----------
    run
        What is evaluated.
    expected
        The number of evaluations over which the first touch of memory is spread.
    plan
        That of earlier evaluations of such a run, if there were any.
    """

    def __init__(self, run: Run, expected: int, plan: RunPlan | None = None) -> None:
        self.run = run
        self.plan = plan
        """For the next evaluation; None before the first is planned."""
        self._expected = expected
        self._resources = Resources(run)

    def planned(self) -> RunPlan:
        """Return the plan for the next evaluation. The first call may measure steps."""
        settle_leaf(self.run)
        if self.plan is None:
            self.plan = plan_run(self.run, evaluations=self._expected)
        return self.plan

    def evaluate(self, observers: Sequence[Observer] = ()) -> tuple[float, Report]:
        """Play both sweeps; return this rank's cost and the figures.

        Raises
        ------
        ArgumentError, NonFiniteError, ReplayError, StepperError, RunInterruptedError
            As `Controls` and `Driver.evaluate` do.
        """
        found = Controls(self.run)
        with found.unchanged():
            plan = self.planned()
            rows = RowsOnDisk.of(self.run)
            watching = [*observers, rows] if rows is not None else observers
            self._resources.open(plan)
            driver = Driver(self.run, self._resources)
            cost, report, self.plan = driver.evaluate(plan, found.hash, watching)
            if rows is not None:
                rows.require_same(self.run.comm)
        return cost, report

    def file_bytes(self) -> int:
        """Return the size that the file may have by the plan, all ranks together; 0 without one."""
        plan, run = self.planned(), self.run
        if run.file is None or plan.rows is None:
            return 0
        row = sum(run.comm.gather(run.layout.block_bytes))
        return plan.rows * row + run.file.journal_bytes()

    def close(self) -> None:
        """Give back memory and file; a named file is kept. Also where this was interrupted."""
        with ExitStack() as released:
            if self.run.file is not None:
                released.callback(self.run.file.close)
            released.callback(self.run.memory.close)
            released.callback(self._resources.close)
