"""The beats of one sweep: when they come, what is said in them, and what follows at once.

What follows at once is the journal, the end of an interrupted run, and the raising of errors: they
change nothing that a schedule knows. What does (lost states, other costs) is kept, until the action
under way is done: see `Coordinator.news`.
"""

from adjoint.errors import RunInterruptedError
from adjoint.parallel import Communicator
from adjoint.parallel.status_exchange import RankStatus
from adjoint.schedules.costs import Costs
from adjoint.storage.store import FailedWrites, FileStore
from adjoint.sweep.cost_tracking import CostTracker
from adjoint.sweep.journal import Journal
from adjoint.sweep.resume import SweepState
from adjoint.sweep.signals import SignalWatch

__all__ = ["Coordinator"]


class Coordinator:
    """StatusExchange, costs, journal and signals of one sweep.

    Every method but `read_seconds` and the `note_...` is called by all ranks at the same actions.
    """

    def __init__(
        self,
        comm: Communicator,
        store: FileStore,
        journal: Journal | None,
        interruption: SignalWatch,
        grid: int,
        costs: Costs | None,
        elapsed: float,
    ) -> None:
        self._steering = CostTracker(comm, store, grid, costs, elapsed)
        self._heartbeat = self._steering.heartbeat
        self._comm = comm
        self._store = store
        self._journal = journal
        self._interruption = interruption
        self._grid = grid
        self._news: list[RankStatus] = []
        self._failed = FailedWrites([])
        self.cut = self._steering.cut
        self.note_steps = self._steering.note_steps
        self.note_write = self._heartbeat.note_write
        self.progress = self._steering.progress
        self.adapt = self._steering.adapt
        self.adapt_reads = self._steering.adapt_reads
        self.read_seconds = self._steering.read_seconds

    @property
    def is_due(self) -> bool:
        """Whether the next beat is due."""
        return self._heartbeat.is_due

    @property
    def cost_changes(self) -> int:
        """How often the schedule was told of other costs."""
        return self._steering.changes

    def write_error(self) -> Exception | None:
        """Return what must be raised because of a write of this rank; note those that failed."""
        found = self._store.failed_writes()
        self._failed.numbers += found.numbers
        self._failed.is_full = self._failed.is_full or found.is_full
        return found.error

    def beat(self, standing: SweepState, *, alarm: bool) -> bool:
        """Say this rank's word and hear that of the last beat; return whether all must raise.

        Raises
        ------
        RunInterruptedError
            On every rank: one was told to end. What a resumed run needs has been saved.
        """
        failed, self._failed = self._failed, FailedWrites([])
        word = RankStatus(
            is_full=float(failed.is_full),
            alarm=float(alarm),
            interrupted=float(self._interruption.requested),
        )
        if failed.numbers:
            word.lost_first, word.lost_last = -min(failed.numbers), max(failed.numbers)
        heard = self._steering.beat(word)
        if heard.alarm:
            return True
        self._save(standing, heard)
        self._steering.restart_clock()
        self._news.append(heard)
        return False

    def news(self) -> list[RankStatus]:
        """Return what was heard since this was asked last."""
        news, self._news = self._news, []
        return news

    def lost(self, word: RankStatus) -> list[int]:
        """Return the states that a word says the file has lost."""
        if word.lost_last < 0:
            return []
        return self._store.steps_of(int(-word.lost_first), int(word.lost_last))

    def finish(self) -> None:
        """Wait for the reduction under way. Collective."""
        self._heartbeat.finish()

    def _save(self, standing: SweepState, heard: RankStatus) -> None:
        journal = self._journal
        if journal is not None and (heard.interrupted or journal.due(heard.elapsed)):
            if standing.adjoint_at is not None:
                assert standing.num_steps is not None
                at, end, cost = standing.adjoint_at, standing.num_steps, standing.cost
                journal.save_reverse(at, end, cost, heard.elapsed)
            elif self._can_go_on_from(standing):
                journal.save_forward(standing.position, standing.cost, heard.elapsed)
        if heard.interrupted:
            self._comm.agree(RunInterruptedError(self._farewell(standing)))

    def _can_go_on_from(self, standing: SweepState) -> bool:
        """Whether the live state is one that a run can go on from."""
        at = standing.position
        return 0 < at == standing.frontier != standing.num_steps and at % self._grid == 0

    def _farewell(self, standing: SweepState) -> str:
        where = (
            f"the forward sweep, at step {standing.position}"
            if standing.adjoint_at is None
            else f"the reverse sweep, at step {standing.adjoint_at}"
        )
        if self._journal is None:
            return f"told to end by a signal in {where}; there is no file to resume from"
        return f"told to end by a signal in {where}: the same call with resume=True goes on"
