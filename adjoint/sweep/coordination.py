"""What the ranks of a sweep with a file tell each other while they compute, and what follows.

Each rank sends its status: what steps and writes take, which writes have failed, whether it has an
error or was asked by a signal to end. What is received is the same on all ranks. What changes no
decision of the schedule follows at once: raising an error together, writing the journal, ending a
run that was interrupted. The rest, lost states and other costs, waits for the end of the action
that is being carried out: see `Coordinator.received` and `Coordinator.new_costs`.
"""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext

from adjoint.errors import RunInterruptedError
from adjoint.parallel import Communicator
from adjoint.parallel.status_exchange import RankStatus, StatusExchange
from adjoint.schedules.costs import Costs
from adjoint.storage.store import FailedWrites, FileStore
from adjoint.sweep.cost_tracking import CostTracker
from adjoint.sweep.journal import Journal
from adjoint.sweep.signals import SignalWatch
from adjoint.sweep.state import SweepState

__all__ = ["Coordinator"]


class Coordinator:
    """Coordinates the ranks of one sweep. Signals are caught while it is `running`.

    All ranks make the same calls at the same actions.

    Parameters
    ----------
    comm
        The ranks.
    store
        Whose transfers are measured.
    state
        Where the sweep is; the sweep changes it.
    costs
        What the schedule was planned on; None if it does not depend on costs.
    leaf_steps
        Exchanges, and records of the journal, lie at multiples of this number of steps.
    journal
        Of a file that a run can be resumed from, if there is one. Only then signals are caught.
    """

    def __init__(
        self,
        comm: Communicator,
        store: FileStore,
        state: SweepState,
        costs: Costs | None,
        leaf_steps: int,
        journal: Journal | None,
    ) -> None:
        self.stalled = 0
        """Ordinal of the last of the store's engines that stalled on some rank; 0 if none has."""
        self._comm = comm
        self._store = store
        self._state = state
        self._leaf_steps = leaf_steps
        self._journal = journal
        self.status = StatusExchange(comm, leaf_steps)
        """When an exchange is due, and the reduction under way."""
        self.signals = SignalWatch()
        seconds_before = 0.0 if journal is None else journal.seconds_before
        self._tracker = CostTracker(store, costs, seconds_before)
        self._received: list[RankStatus] = []
        self._known_costs = costs

    @property
    def costs(self) -> Costs | None:
        """The costs that a schedule should use now."""
        return self._tracker.costs

    @property
    def cost_changes(self) -> int:
        """Number of times that the costs have changed."""
        return self._tracker.changes

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """Return the context of the sweep, to be entered in that of `signals.under_way`.

        At its end the reduction under way is waited for, unless this rank alone has failed.
        """
        with nullcontext() if self._journal is None else self.signals:
            try:
                yield
            except BaseException as error:
                if self._comm.has_agreed(error):
                    self.status.finish()
                raise
            self.status.finish()

    # -- exchanging ---------------------------------------------------------------------------

    def exchange(self, failed: FailedWrites) -> None:
        """Send this rank's status, and act on what was sent in the exchange before. Collective.

        Raises
        ------
        RunInterruptedError
            On every rank: a signal has asked one to end. What a resumed run needs has been saved.
        Exception
            On every rank: one of them keeps an error.
        """
        steps = self._state.taken_steps
        sent = self._tracker.measure(steps)
        sent.is_full = float(failed.is_full)
        sent.stalled = self._store.stalled
        sent.has_error = float(self._state.error is not None)
        sent.is_interrupted = float(self.signals.requested)
        if failed.numbers:
            sent.lost_first, sent.lost_last = -min(failed.numbers), max(failed.numbers)
        received = self.status.exchange(sent, steps)
        self.stalled = max(self.stalled, int(received.stalled))
        if received.has_error:
            self._state.agree(self._comm)
        self._save(received.elapsed, is_last=bool(received.is_interrupted))
        if received.is_interrupted:
            self._interrupt()
        self._tracker.restart_clock()
        if self._state.adjoint_at is None:
            self._tracker.change_write(received)
        self._received.append(received)

    def finish(self) -> None:
        """Honour a signal that no exchange has brought: the sweep is about to end. Collective.

        Raises
        ------
        RunInterruptedError
            On every rank, as in `exchange`.
        """
        if self._journal is None:
            return
        is_sound = self._state.error is None
        ranks = self._comm.gather((self.signals.requested, is_sound, self._tracker.elapsed))
        requested, sound, elapsed = zip(*ranks, strict=True)
        if any(requested) and all(sound):
            self._save(max(elapsed), is_last=True)
            self._interrupt()

    def agree_on_read(self, *, succeeded: bool) -> bool:
        """Return whether a read has succeeded on all ranks. Collective."""
        own = succeeded, self._tracker.read_seconds(), self._store.stalled
        successes, seconds, stalled = zip(*self._comm.gather(own), strict=True)
        self.stalled = max(self.stalled, *stalled)
        if not all(successes):
            return False
        self._tracker.change_read(max(seconds))
        return True

    # -- what was received ----------------------------------------------------------------------

    def received(self) -> list[RankStatus]:
        """Return each combined status that was received since the last call."""
        received, self._received = self._received, []
        return received

    def new_costs(self) -> Costs | None:
        """Return the costs that a schedule should use, if they have changed since the last call."""
        if self._tracker.costs is self._known_costs:
            return None
        self._known_costs = self._tracker.costs
        return self._known_costs

    # -- the journal ----------------------------------------------------------------------------

    def _save(self, elapsed: float, *, is_last: bool) -> None:
        """Write a record if one is due, or if it is the last chance to."""
        journal, state = self._journal, self._state
        if journal is None or not (is_last or journal.due(elapsed)):
            return
        if state.adjoint_at is not None:
            assert state.num_steps is not None
            journal.save_reverse(state.adjoint_at, state.num_steps, state.cost, elapsed)
        elif self._can_resume_here():
            journal.save_forward(state.position, state.cost, elapsed)

    def _can_resume_here(self) -> bool:
        """Whether a run can be resumed from the live state of the forward sweep."""
        at, state = self._state.position, self._state
        return 0 < at == state.frontier != state.num_steps and at % self._leaf_steps == 0

    def _interrupt(self) -> None:
        self.signals.honoured()
        state = self._state
        where = (
            f"the forward sweep, at step {state.position}"
            if state.adjoint_at is None
            else f"the reverse sweep, at step {state.adjoint_at}"
        )
        outcome = "the same call with resume=True continues from there"
        if self._journal is not None and self._journal.failure is not None:
            outcome = f"which could not be saved: {self._journal.failure}"
        self._comm.agree(RunInterruptedError(f"ended by a signal in {where}: {outcome}"))
