"""One evaluation: a forward and a reverse sweep, its report, and the plan for the next one."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from adjoint.driver.learning import next_plan
from adjoint.driver.resources import Resources
from adjoint.driver.run import Run, RunPlan
from adjoint.errors import ReplayError
from adjoint.measurement.calibration import Calibration, agreed_costs
from adjoint.parallel import largest
from adjoint.reporting.report import Report
from adjoint.schedules import describe
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.journal import SavedRecord
from adjoint.sweep.observers import Observer, Observers, combined
from adjoint.sweep.state import SweepResult
from adjoint.sweep.sweep import Sweep

__all__ = ["Driver"]


@dataclass(frozen=True, slots=True)
class _Played:
    """One evaluation that has been played."""

    result: SweepResult
    record: SavedRecord | None
    """What it continued from; None if it began at the beginning."""
    began: float
    """By `time.perf_counter`, as are the other times."""
    ended: float
    before: Statistics
    """The engine's figures at the beginning."""
    after: Statistics
    touched_bytes: int
    """New memory that was touched for the first time."""
    touch_seconds: float
    """What that took."""


class Driver:
    """Evaluates a run again and again with the same resources, which are the caller's to close."""

    def __init__(self, run: Run, resources: Resources) -> None:
        self._run = run
        self._resources = resources

    def evaluate(
        self, plan: RunPlan, controls_hash: str, observers: Sequence[Observer] = ()
    ) -> tuple[float, Report, RunPlan]:
        """Play one forward and one reverse sweep. Collective.

        `controls_hash` is the hash of this rank's controls, which the journal keeps.

        Returns this rank's cost, the figures of the evaluation on this rank, and the plan for the
        next one, which is the same on all ranks. The gradient is in the stepper's accumulators.

        Raises
        ------
        NonFiniteError, ReplayError, RunInterruptedError, ScheduleError
            As `Sweep.run` does.
        """
        run, resources, memory = self._run, self._resources, self._run.memory
        with resources.observed(Observers(observers)):
            found = resources.begin(plan, controls_hash)
            before, began = resources.statistics(), time.perf_counter()
            touched = memory.touched_bytes, memory.touch_seconds
            # Where nothing was measured, nothing is calibrated, and no action need be timed.
            calibration = None
            if plan.costs is not None:
                calibration = Calibration(resources.statistics, lambda: memory.touch_seconds)
            watching = observers if calibration is None else [calibration, *observers]
            journal = resources.journal
            sweep = Sweep(
                run.stepper,
                run.num_steps,
                resources.buffers,
                resources.store,
                run.comm,
                journal=journal,
                check_replays=not run.unchecked,
            )
            with nullcontext() if journal is None else run.fingerprints.watching():
                try:
                    result = sweep.run(
                        plan.schedule, costs=plan.costs, found=found, observer=combined(watching)
                    )
                except ReplayError:
                    resources.void()
                    raise
            if journal is not None:
                journal.end()
        ended = time.perf_counter()
        record = None if journal is None else journal.resumed
        played = _Played(
            result,
            record,
            began,
            ended,
            before,
            resources.statistics(),
            memory.touched_bytes - touched[0],
            memory.touch_seconds - touched[1],
        )
        next_plan = self._next_plan(plan, played, calibration)
        return result.cost, self._report(plan, played), next_plan

    # -- inside -------------------------------------------------------------------------------

    def _next_plan(
        self, plan: RunPlan, played: _Played, calibration: Calibration | None
    ) -> RunPlan:
        """Return what follows from an evaluation that was played as planned, from its beginning."""
        comm, resources, result = self._run.comm, self._resources, played.result
        costs, seconds = None, 0.0
        undisturbed = played.record is None and not (result.lost_states or result.lost_tapes)
        if plan.costs is not None and calibration is not None and undisturbed:
            costs = agreed_costs(calibration.costs(plan.costs), comm)
            seconds = largest(played.ended - played.began - played.touch_seconds, comm)
        return next_plan(
            plan,
            result.revised,
            costs,
            seconds,
            rows=resources.rows,
            needs_file=resources.journal is not None,
        )

    def _report(self, plan: RunPlan, played: _Played) -> Report:
        result, before, after = played.result, played.before, played.after
        store, journal, record = self._resources.store, self._resources.journal, played.record
        resumed = "" if record is None else f"{record.header.phase}, step {record.header.step:,}"
        blocked = after.wait_seconds + after.post_seconds
        failure = "" if store is None else store.engine_failure
        return Report(
            schedule=describe(plan.schedule),
            reason=plan.reason,
            num_steps=result.num_steps,
            leaf_steps=plan.schedule.leaf_steps,
            state_bytes=self._run.layout.nbytes,
            memory_bytes=self._run.memory.peak_bytes,
            touched_bytes=played.touched_bytes,
            kept_tapes=plan.schedule.num_tapes,
            actions=result.actions,
            advanced_steps=result.advanced_steps,
            recorded_steps=result.recorded_steps,
            forward_seconds=result.turned_at - played.began,
            reverse_seconds=played.ended - result.turned_at,
            first_touch_seconds=played.touch_seconds,
            predicted_seconds=plan.predicted_seconds,
            probe_seconds=plan.probe_seconds,
            engine="" if store is None else store.engine.name,
            engine_reason=failure or plan.engine_reason,
            bytes_written=after.bytes_written - before.bytes_written,
            bytes_read=after.bytes_read - before.bytes_read,
            transfer_seconds=after.transfer_seconds - before.transfer_seconds,
            wait_seconds=blocked - before.wait_seconds - before.post_seconds,
            cost_changes=result.cost_changes,
            compared_states=result.compared_states,
            unchecked=self._run.unchecked,
            lost_states=result.lost_states,
            lost_tapes=result.lost_tapes,
            journal_records=0 if journal is None else journal.records,
            journal_seconds=0.0 if journal is None else journal.seconds,
            journal_failure="" if journal is None else journal.failure or "",
            resumed_from=resumed,
        )
