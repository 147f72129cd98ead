"""A schedule, and all that it takes to play it: set aside once, used by every evaluation."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from adjoint.driver.file_access import FileAccess
from adjoint.measurement.calibration import Calibration, agreed_costs
from adjoint.parallel import Communicator, largest
from adjoint.planning.candidates import Problem, in_memory, with_tapes
from adjoint.planning.prediction import Prediction
from adjoint.reporting.report import Report, in_words
from adjoint.schedules import Schedule, Spilling
from adjoint.schedules.costs import Costs
from adjoint.steppers.protocol import Stepper
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.transfer import Statistics
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.journal import Journal, SavedRecord, hash_of
from adjoint.sweep.observers import Observer, Observers
from adjoint.sweep.sweep import Sweep

if TYPE_CHECKING:
    from adjoint.storage.store import FileStore

__all__ = ["Equipment"]

WORTH_GIVING_UP = 0.03
"""The file is given up if that saves this share of what an evaluation with it has taken."""


@dataclass(slots=True)
class Equipment:
    """A schedule, and all that it takes to play it."""

    schedule: Schedule
    costs: Costs | None
    """What it was planned on, or has taken since; None where nothing was measured."""
    reason: str
    prediction: Prediction
    """What an evaluation takes, by the costs."""
    probe_seconds: float
    layout: StateLayout
    pool: BlockPool
    buffers: Buffers
    store: "FileStore | None"
    tape_bytes: int
    journal: Journal | None = None
    found: SavedRecord | None = None
    """What an earlier run left to go on from. The first evaluation takes it up, if it is of the
    same controls."""
    access: FileAccess | None = None
    engine: str = ""
    """Its name among the arguments; empty where it was not chosen, or is none of those."""
    engine_reason: str = ""
    """Why the engine was chosen; empty where nothing was measured."""

    def plan(self) -> dict[str, Any]:
        """Return what a resumed run need not measure again."""
        costs = None if self.costs is None else asdict(self.costs)
        leaf = self.schedule.leaf_steps
        return {"leaf_steps": leaf, "costs": costs, "engine": self.engine}

    def evaluate(
        self,
        stepper: Stepper,
        num_steps: int | None,
        comm: Communicator,
        observers: Sequence[Observer] = (),
    ) -> tuple[float, Report]:
        """Play one forward and one reverse sweep; return this rank's cost, and the figures.

        Collective. Schedule and costs are then as this evaluation's measurements would have them.
        """
        self.buffers.clear()
        with self._observed(Observers(observers)):
            found = self._begin(stepper, comm)
            before, began = self._statistics(), time.perf_counter()
            calibration = Calibration(self._statistics)
            stepper.start()
            sweep = Sweep(
                stepper,
                num_steps,
                self.buffers,
                self.store,
                comm,
                journal=self.journal,
                observer=Observers([calibration, *observers]),
            )
            cost = sweep.run(self.schedule, costs=self.costs, found=found)
        ended = time.perf_counter()
        report = self._report(sweep, found, before, began, ended)
        tuned = self.schedule if sweep.tuned is None else sweep.tuned
        if self.costs is not None and found is None and not sweep.lost_states:
            self.costs = agreed_costs(calibration.costs(self.costs), comm)
            tuned = self._calibrated(tuned, self.costs, was_told=sweep.tuned is not None)
            tuned = self._without_file(largest(report.seconds, comm)) or tuned
            self.prediction = Prediction(tuned, self.costs)
        self.schedule = tuned
        return cost, report

    def close(self) -> None:
        """Close the file, give back the memory. Collective."""
        try:
            if self.journal is not None:
                self.journal.close()
        finally:
            try:
                if self.store is not None:
                    self.store.close()
            finally:
                if self.access is not None:
                    self.access.close()
                self.buffers.release()

    # -- inside -------------------------------------------------------------------------------

    def _begin(self, stepper: Stepper, comm: Communicator) -> SavedRecord | None:
        """Empty the file, or leave what an evaluation goes on from, and return that."""
        if self.store is None:
            return None
        if self.journal is None:
            self.store.clear()
            return None
        found, self.found = self.found, None
        controls = hash_of(stepper.controls)
        same = found is not None and all(comm.gather(found.note.controls == controls))
        found = found if same else None
        if found is None:
            self.store.clear()
        self.journal.begin(controls, self.store.posted + 1, self.plan(), found)
        return found

    def _calibrated(self, schedule: Schedule, costs: Costs, *, was_told: bool) -> Schedule:
        """Return a schedule that goes by these costs, if it goes by any."""
        if not isinstance(schedule, Spilling) or self.store is None:
            return schedule
        return schedule.recalibrated(costs, self.store.file.placement.rows, keep_ratios=was_told)

    def _without_file(self, taken: float) -> Schedule | None:
        """Return a schedule in as much memory that is worth giving up the file for, or None.

        Costs that were measured in an evaluation say what it would have taken without transfers,
        with the leaves that it had. A file that a run can be resumed from is not given up.
        """
        schedule, costs = self.schedule, self.costs
        if schedule.file_states == 0 or self.journal is not None or schedule.num_steps is None:
            return None
        assert costs is not None
        tapes = getattr(schedule, "tape_slots", 0)
        case = Problem(schedule.num_steps, schedule.leaf_steps, schedule.num_slots, 0, tapes, costs)
        offers = [*in_memory(case), *with_tapes(case)]
        best = min(offers, key=lambda offer: offer.seconds)
        if best.seconds > (1 - WORTH_GIVING_UP) * taken:
            return None
        self.reason = f"the file was given up, since it took {taken:.3g} s with it; {best.reason}"
        return best.schedule

    @contextmanager
    def _observed(self, observer: Observer) -> Generator[None, None, None]:
        """Tell an observer of transfers and pauses meanwhile."""
        if self.store is not None:
            self.store.observer = observer.on_transfer
        if self.journal is not None:
            self.journal.observer = observer.on_pause
        try:
            yield
        finally:
            if self.store is not None:
                self.store.observer = None
            if self.journal is not None:
                self.journal.observer = None

    def _statistics(self) -> Statistics:
        return Statistics() if self.store is None else self.store.engine.statistics

    def _report(
        self,
        sweep: Sweep,
        found: SavedRecord | None,
        before: Statistics,
        began: float,
        ended: float,
    ) -> Report:
        after = self._statistics()
        blocked = after.wait_seconds + after.post_seconds
        num_steps = sweep.num_steps
        assert num_steps is not None
        journal = self.journal
        return Report(
            schedule=in_words(self.schedule),
            reason=self.reason,
            num_steps=num_steps,
            state_bytes=self.layout.nbytes,
            memory_bytes=self._most_blocks() * self.layout.memory_bytes + self.tape_bytes,
            actions=sweep.actions,
            advanced_steps=sweep.advanced_steps,
            recorded_steps=sweep.recorded_steps,
            forward_seconds=sweep.turned_at - began,
            reverse_seconds=ended - sweep.turned_at,
            prediction=self.prediction,
            probe_seconds=self.probe_seconds,
            engine="" if self.store is None else self.store.engine.name,
            engine_reason=self.engine_reason,
            bytes_written=after.bytes_written - before.bytes_written,
            bytes_read=after.bytes_read - before.bytes_read,
            transfer_seconds=after.transfer_seconds - before.transfer_seconds,
            wait_seconds=blocked - before.wait_seconds - before.post_seconds,
            cost_changes=sweep.cost_changes,
            lost_states=tuple(sweep.lost_states),
            journal_records=0 if journal is None else journal.records,
            journal_seconds=0.0 if journal is None else journal.seconds,
            journal_failure="" if journal is None else journal.failure or "",
            resumed_from="" if found is None else f"{found.note.phase}, step {found.note.step:,}",
        )

    def _most_blocks(self) -> int:
        """Return the blocks in use at the most; where tapes are kept, with the room for them."""
        if self.schedule.num_tapes == 1:
            return self.pool.peak
        return max(self.pool.peak, self.schedule.num_slots)
