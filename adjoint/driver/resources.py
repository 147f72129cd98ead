"""What evaluations use: memory, the file and its journal, opened and closed in one place."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from adjoint.driver.run import Run, RunPlan
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.buffers import AdoptingBuffers, Buffers, CopyingBuffers
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.observers import Observer

if TYPE_CHECKING:
    from adjoint.storage.store import FileStore

__all__ = ["Resources", "make_buffers"]


def make_buffers(
    run: Run, num_slots: int, *, adopts: bool, sparing: bool = False
) -> tuple[BlockPool, Buffers]:
    """Return buffers for `num_slots` slots, and the pool that their blocks come from.

    `sparing` returns idle memory to the operating system: see `BlockPool`.
    """
    pool = BlockPool(run.layout, num_slots + 1, sparing=sparing)
    return pool, (AdoptingBuffers if adopts else CopyingBuffers)(run.stepper, pool)


class Resources:
    """The buffers, the file store and the journal of a run's evaluations. A context manager.

    Opening and closing are collective.

    Parameters
    ----------
    run
        What is evaluated.
    plan
        Of the first evaluation. Later plans need no more slots and no more rows.

    Raises
    ------
    SnapshotFileError
        On every rank: the file cannot be created or opened.
    """

    def __init__(self, run: Run, plan: RunPlan) -> None:
        self.store: FileStore | None = None
        self.journal: Journal | None = None
        self.tape_bytes = run.capabilities.tape_bytes(plan.schedule.leaf_steps)
        """Memory of the tape of one leaf."""
        self._run = run
        self._record: SavedRecord | None = None
        slots, sparing = plan.schedule.num_slots, plan.schedule.num_tapes > 1
        with ExitStack() as opened:
            if run.file is not None and plan.rows is not None:
                self.store = run.file.open(plan.rows, plan.engine, resume=plan.resumes)
                opened.callback(self.store.close)
                self.journal = run.file.open_journal(self.store)
            if self.journal is not None:
                opened.callback(self.journal.close)
                self._record = self.journal.find() if plan.resumes else None
            self.pool, self.buffers = make_buffers(run, slots, adopts=plan.adopts, sparing=sparing)
            opened.callback(self.buffers.release)
            self._opened = opened.pop_all()

    @property
    def rows(self) -> int:
        """Rows of the file; 0 if there is none."""
        return 0 if self.store is None else self.store.file.placement.rows

    def statistics(self) -> Statistics:
        """Return the engine's figures so far; all zero without a file."""
        return Statistics() if self.store is None else self.store.engine.statistics

    def begin(self, plan: RunPlan, controls: str) -> SavedRecord | None:
        """Begin an evaluation: empty buffers and file, or return the record to continue from.

        Collective. The record of an earlier run is used at most once, and only if that had the same
        controls on every rank, by their hash.
        """
        self.buffers.clear()
        if self.store is None:
            return None
        if self.journal is None:
            self.store.clear()
            return None
        record, self._record = self._record, None
        same = record is not None and record.header.controls == controls
        if not all(self._run.comm.gather(same)):
            record = None
        if record is None:
            self.store.clear()
        self.journal.begin(controls, self.store.posted + 1, plan.noted(), record)
        return record

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
        """Close journal and file, and leave the stepper with memory of its own. Collective."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
