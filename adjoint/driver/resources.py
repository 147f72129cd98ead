"""What evaluations use: memory, the file and its journal, opened and closed in one place."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adjoint.driver.fingerprints import differing
from adjoint.driver.run import Run, RunPlan
from adjoint.schedules import Schedule
from adjoint.schedules.tapes_in_file.parameters import tape_pieces
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.observers import Observer

if TYPE_CHECKING:
    from adjoint.storage.store import FileStore

__all__ = ["Resources"]

LOG = logging.getLogger("adjoint")


class Resources:
    """The buffers, the file store and the journal of a run's evaluations.

    Opening and closing are collective. Nothing is open before `open`.
    """

    def __init__(self, run: Run) -> None:
        self.store: FileStore | None = None
        self.journal: Journal | None = None
        self._run = run
        self._is_open = False
        self._found: list[SavedRecord] = []
        """Records of an earlier run, until the first evaluation has begun."""
        self._is_taken_over = False
        """Whether the file has states of an earlier run, which no evaluation has emptied yet."""

    def open(self, plan: RunPlan) -> None:
        """Open what an evaluation needs, unless it is open.

        Later plans need no more memory and no more rows than that of the first evaluation.

        Raises
        ------
        SnapshotFileError
            On every rank: the file cannot be created or opened.
        """
        if self._is_open:
            return
        run, schedule = self._run, plan.schedule
        try:
            if run.file is not None and plan.rows is not None:
                piece = run.memory.piece_layout if tape_pieces(schedule) else None
                self.store = run.file.open(plan.rows, plan.engine, piece=piece, resume=plan.resumes)
                self.journal = run.file.open_journal(self.store)
                self._is_taken_over = plan.resumes
            if self.journal is not None:
                self._found = self.journal.find() if plan.resumes else []
            self.buffers = _buffers(run, schedule)
        except BaseException:
            self.close()
            raise
        self._is_open = True

    @property
    def rows(self) -> int:
        """Rows of the file; 0 if there is none."""
        return 0 if self.store is None else self.store.file.placement.rows

    def statistics(self) -> Statistics:
        """Return the engine's figures so far; all zero without a file."""
        return Statistics() if self.store is None else self.store.statistics

    def begin(self, plan: RunPlan, controls: str) -> list[SavedRecord]:
        """Start the stepper, and begin an evaluation, with empty buffers and an empty file.

        Or with the states of the run to continue: returns its records, the latest first. Those of
        an earlier run are used at most once, and only if nothing that it depends on has changed on
        any rank. `controls` is the hash of the controls. Collective.
        """
        self.buffers = _buffers(self._run, plan.schedule)
        self._run.stepper.start()
        store, journal, comm = self.store, self.journal, self._run.comm
        if store is None:
            return []
        store.clear()
        if journal is None:
            return []
        journal.describe(self._run.fingerprints.take(controls), plan.noted())
        found, self._found = self._resumable(journal), []
        if found:
            journal.resume(found[0])
        else:
            journal.begin()
        recalled = store.file.recall(comm, journal.evaluation) if self._is_taken_over else None
        self._is_taken_over = False
        store.begin_evaluation(journal.evaluation, recalled)
        return found

    def _resumable(self, journal: Journal) -> list[SavedRecord]:
        """Return the records of the latest run with the same controls and data. Collective."""
        same: list[SavedRecord] = []
        changed: set[str] = set()
        for saved in self._found:
            ranks = self._run.comm.gather(differing(saved.header.data, journal.data))
            changed |= set[str]().union(*ranks)
            if not any(ranks) and saved.header.evaluation == (same or [saved])[0].header.evaluation:
                same.append(saved)
        if self._found and not same and self._run.comm.rank == 0:
            names = ", ".join(sorted(changed))
            LOG.warning("the run begins afresh: the one in the file had other values of %s", names)
        return same

    def void(self) -> None:
        """Make the evaluation one that cannot be resumed. Collective."""
        if self.journal is not None:
            self.journal.begin()  # an evaluation of its own, that has no states

    @contextmanager
    def observed(self, observer: Observer) -> Generator[None, None, None]:
        """Report transfers and pauses of the journal to an observer meanwhile."""
        try:
            if self.store is not None:
                self.store.observer = observer.on_transfer
            if self.journal is not None:
                self.journal.observer = observer.on_pause
            yield
        finally:
            if self.store is not None:
                self.store.observer = None
            if self.journal is not None:
                self.journal.observer = None

    def close(self) -> None:
        """Close journal and file, which can be opened again. Collective. Idempotent."""
        self._is_open = False
        try:
            if self.journal is not None:
                self.journal.close()
        finally:
            if self.store is not None:
                self.store.close()
        self.store = self.journal = None


def _buffers(run: Run, schedule: Schedule) -> Buffers:
    """Return empty buffers for what a schedule keeps in memory."""
    pieces = schedule.num_tapes * tape_pieces(schedule) or None
    return run.memory.buffers(schedule.num_slots, schedule.leaf_steps, pieces=pieces)
