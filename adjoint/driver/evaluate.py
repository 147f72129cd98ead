"""One evaluation: a forward and a reverse sweep, its report, and the plan for the next one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from adjoint.driver.learning import next_plan
from adjoint.driver.resources import Resources
from adjoint.driver.run import Run, RunPlan
from adjoint.measurement.calibration import Calibration, agreed_costs
from adjoint.parallel import largest
from adjoint.reporting.report import Report, in_words
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.journal import SavedRecord
from adjoint.sweep.observers import Observer, Observers
from adjoint.sweep.sweep import Sweep

__all__ = ["Driver"]


@dataclass(frozen=True, slots=True)
class _Played:
    """One evaluation that has been played."""

    sweep: Sweep
    record: SavedRecord | None
    """What it continued from; None if it began at the beginning."""
    began: float
    """By `time.perf_counter`, as are the other times."""
    ended: float
    before: Statistics
    """The engine's figures at the beginning."""
    after: Statistics


class Driver:
    """Evaluates a run again and again with the same resources, which are the caller's to close."""

    def __init__(self, run: Run, resources: Resources) -> None:
        self._run = run
        self._resources = resources

    def evaluate(
        self, plan: RunPlan, observers: Sequence[Observer] = ()
    ) -> tuple[float, Report, RunPlan]:
        """Play one forward and one reverse sweep. Collective.

        Returns this rank's cost, the figures of the evaluation on this rank, and the plan for the
        next one, which is the same on all ranks. The gradient is in the stepper's accumulators.

        Raises
        ------
        NonFiniteError, RunInterruptedError, ScheduleError
            As `Sweep.run` does.
        """
        run, resources = self._run, self._resources
        with resources.observed(Observers(observers)):
            record = resources.begin(plan)
            before, began = resources.statistics(), time.perf_counter()
            calibration = Calibration(resources.statistics)
            run.stepper.start()
            sweep = Sweep(
                run.stepper,
                run.num_steps,
                resources.buffers,
                resources.store,
                run.comm,
                journal=resources.journal,
                observer=Observers([calibration, *observers]),
            )
            cost = sweep.run(plan.schedule, costs=plan.costs, found=record)
        ended = time.perf_counter()
        played = _Played(sweep, record, began, ended, before, resources.statistics())
        return cost, self._report(plan, played), self._next_plan(plan, played, calibration)

    # -- inside -------------------------------------------------------------------------------

    def _next_plan(self, plan: RunPlan, played: _Played, calibration: Calibration) -> RunPlan:
        """Return what follows from an evaluation that was played as planned, from its beginning."""
        comm, resources, sweep = self._run.comm, self._resources, played.sweep
        costs, seconds = None, 0.0
        if plan.costs is not None and played.record is None and not sweep.lost_states:
            costs = agreed_costs(calibration.costs(plan.costs), comm)
            seconds = largest(played.ended - played.began, comm)
        return next_plan(
            plan,
            sweep.tuned,
            costs,
            seconds,
            rows=resources.rows,
            needs_file=resources.journal is not None,
        )

    def _report(self, plan: RunPlan, played: _Played) -> Report:
        sweep, before, after = played.sweep, played.before, played.after
        store, journal, record = self._resources.store, self._resources.journal, played.record
        layout, tape = self._run.layout, self._resources.tape_bytes
        resumed = "" if record is None else f"{record.note.phase}, step {record.note.step:,}"
        assert sweep.num_steps is not None
        blocked = after.wait_seconds + after.post_seconds
        return Report(
            schedule=in_words(plan.schedule),
            reason=plan.reason,
            num_steps=sweep.num_steps,
            state_bytes=layout.nbytes,
            memory_bytes=self._max_blocks(plan) * layout.memory_bytes + tape,
            actions=sweep.actions,
            advanced_steps=sweep.advanced_steps,
            recorded_steps=sweep.recorded_steps,
            forward_seconds=sweep.turned_at - played.began,
            reverse_seconds=played.ended - sweep.turned_at,
            predicted_seconds=plan.predicted_seconds,
            probe_seconds=plan.probe_seconds,
            engine="" if store is None else store.engine.name,
            engine_reason=plan.engine_reason,
            bytes_written=after.bytes_written - before.bytes_written,
            bytes_read=after.bytes_read - before.bytes_read,
            transfer_seconds=after.transfer_seconds - before.transfer_seconds,
            wait_seconds=blocked - before.wait_seconds - before.post_seconds,
            cost_changes=sweep.cost_changes,
            lost_states=tuple(sweep.lost_states),
            journal_records=0 if journal is None else journal.records,
            journal_seconds=0.0 if journal is None else journal.seconds,
            journal_failure="" if journal is None else journal.failure or "",
            resumed_from=resumed,
        )

    def _max_blocks(self, plan: RunPlan) -> int:
        """Return the most buffers in use at once, counting kept tapes as the slots they take."""
        peak = self._resources.pool.peak
        return peak if plan.schedule.num_tapes == 1 else max(peak, plan.schedule.num_slots)
