"""The file's part in one sweep: transfers, what it has lost, and what ranks agree on.

Which transfers there are, and when one is waited for, is the schedule's decision; nothing here asks
whether a transfer has finished in order to decide what comes next. A write or a read that fails on
one rank is no error: all ranks drop that state, and the sweep goes on with a schedule that
recomputes it (`adjoint.sweep.resume`).
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from adjoint.errors import NonFiniteError, TransferError
from adjoint.parallel import Communicator
from adjoint.schedules import AdaptiveStream, Schedule
from adjoint.schedules.actions import (
    Action,
    Offload,
    OffloadTape,
    Prefetch,
    PrefetchTape,
    Record,
    RestoreTape,
    Wait,
)
from adjoint.schedules.costs import Costs
from adjoint.schedules.tapes_in_file.parameters import tape_pieces
from adjoint.steppers.protocol import Stepper
from adjoint.storage.row_keys import first_step
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.coordination import Coordinator
from adjoint.sweep.file_reads import FileReads
from adjoint.sweep.file_tapes import FileTapes
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.resume import Recovery
from adjoint.sweep.signals import SignalWatch
from adjoint.sweep.state import SweepState

__all__ = ["FILE_ACTIONS", "FileTier"]

FILE_ACTIONS = (Offload, Prefetch, Wait, PrefetchTape, RestoreTape)
"""What only a file is for."""


class FileTier:
    """The states of one sweep that are in a file, or on the way to or from it.

    All ranks make the same calls.

    Parameters
    ----------
    store, journal
        The file; `journal` is None if no run can be resumed from it.
    stepper, buffers, comm, state
        Those of the sweep.
    schedule
        What the sweep is to play.
    costs
        What the schedule was planned on; None if it does not depend on costs.
    """

    def __init__(
        self,
        store: FileStore,
        journal: Journal | None,
        stepper: Stepper,
        buffers: Buffers,
        comm: Communicator,
        state: SweepState,
        schedule: Schedule,
        costs: Costs | None,
    ) -> None:
        self.lost_states: list[int] = []
        """States that the file has lost, in the order in which that was agreed on."""
        self.lost_tapes: set[int] = set()
        """First steps of the tapes that the file has lost."""
        self.tapes = FileTapes(store, buffers, tape_pieces(schedule))
        """The tapes in the file."""
        self.has_news = False
        """Whether `pass_on` has anything to do, once the action under way is over."""
        self._store = store
        self._journal = journal
        self._buffers = buffers
        self._state = state
        self._reads = FileReads(store)
        self._leaf_steps = schedule.leaf_steps
        self._coordinator = Coordinator(comm, store, state, costs, schedule.leaf_steps, journal)
        self._status = self._coordinator.status
        self._recovery = Recovery(stepper, buffers, store, comm, state, schedule, costs)
        self._comm = comm
        self._capacity = store.file.usable_rows
        """The most states that the file can hold: less than that if the disk is full."""
        self._missing: list[int] = []
        """States that are lost, while the schedule still counts on them."""

    @property
    def cost_changes(self) -> int:
        """Number of times that the schedule was given other costs."""
        return self._coordinator.cost_changes

    @property
    def signals(self) -> SignalWatch:
        """The signals that are caught while the sweep is `running`."""
        return self._coordinator.signals

    def running(self) -> AbstractContextManager[None]:
        """Return the context of the sweep, to be entered in that of `signals.under_way`."""
        return self._coordinator.running()

    def begin(self, stream: AdaptiveStream, found: Sequence[SavedRecord]) -> AdaptiveStream:
        """Return what is to be played: `stream`, or what is left of the run that was found.

        Collective.
        """
        if self._journal is not None and found:
            resumed = self._recovery.take_up(self._journal, found)
            stream = stream if resumed is None else resumed
        stream.set_capacity(self._capacity)
        return stream

    def finish(self) -> None:
        """Keep the error of a write that has failed since the last exchange, if there is one."""
        self._state.keep_error(self._store.failed_writes().error)

    def heed_signals(self) -> None:
        """Raise `RunInterruptedError` on every rank if one of them has a signal. Collective.

        For the end of the reverse sweep: before, exchanges do it.
        """
        self._coordinator.finish()

    # -- actions ------------------------------------------------------------------------------

    def handlers(self) -> dict[type[Action], Callable[[Any], object]]:
        """Return what carries out each of `FILE_ACTIONS`."""
        return {
            Offload: self.offload,
            Prefetch: self.prefetch,
            Wait: self.wait,
            PrefetchTape: self.prefetch_tape,
            RestoreTape: self.restore_tape,
        }

    def offload(self, action: Offload) -> None:
        """Post the write of a state from its slot."""
        step, state = action.step, self._state
        is_cost_known = state.frontier == step and state.adjoint_at is None
        if self._journal is not None:
            self._journal.save_accepted()
        block = self._buffers.slots[step]
        self._store.offload(step, block, state.cost if is_cost_known else math.nan)
        self._status.count_write()
        self.after_steps()

    def prefetch(self, action: Prefetch) -> None:
        """Post the read of a state into a slot."""
        self._reads.post_ahead(action.step, self._buffers.fill(action.step))

    def read(self, step: int) -> bool:
        """Read a state straight into the live one; return whether all ranks have it. Collective."""
        self._buffers.receive(step, lambda block: self._reads.read(step, block))
        return self._agree_on_read(step)

    def finish_read(self, step: int) -> bool:
        """Wait for a state that is read into a slot, if it is; return whether all ranks have it.

        Collective, if the state is being read.
        """
        if step not in self._reads:
            return True
        succeeded = self._agree_on_read(step)
        if not succeeded:
            self._buffers.discard(step)
        return succeeded

    def _agree_on_read(self, step: int) -> bool:
        """Return whether all ranks have read a state; it is missing if not. Collective."""
        return self._agree([step], succeeded=self._reads.finish(step))

    def _agree(self, keys: Sequence[int], *, succeeded: bool) -> bool:
        """Return whether reads have succeeded on all ranks; if not, `keys` are missing."""
        succeeded = self._coordinator.agree_on_read(succeeded=succeeded)
        if not succeeded:
            self._missing += keys
        self.has_news = True
        return succeeded

    def wait(self, action: Wait) -> None:
        """Wait for the transfer of a state."""
        if action.step in self._reads:
            self.finish_read(action.step)
        else:
            self._settle(self._store.wait, action.step)

    def discard(self, step: int) -> None:
        """Discard a state in the file, once no transfer uses it."""
        self._settle(self._store.discard, step)

    # -- tapes --------------------------------------------------------------------------------

    def offload_tape(self, action: OffloadTape) -> None:
        """Take a tape from the stepper and post its write."""
        self.tapes.offload(action.start, action.stop)
        self._status.count_write()
        self.after_steps()

    def prefetch_tape(self, action: PrefetchTape) -> None:
        """Post the read of a tape."""
        self.tapes.prefetch(action.start)

    def restore_tape(self, action: RestoreTape) -> None:
        """Have a tape read, unless it is, and give it to the stepper, if all ranks have it.

        Collective.
        """
        start, tapes = action.start, self.tapes
        tapes.prefetch(start)
        if self._agree(tapes.keys(start), succeeded=tapes.finish(start)):
            tapes.restore(start, action.stop)
        else:
            tapes.give_up(start)

    def _settle(self, transfer: Callable[[int], None], step: int) -> None:
        """Wait for a write; if it has failed, the next exchange reports that."""
        try:
            transfer(step)
        except TransferError:
            return
        except NonFiniteError as error:
            self._state.keep_error(error)

    # -- between steps and actions --------------------------------------------------------------

    def next_stop(self, start: int, stop: int) -> int:
        """Return how far to advance from `start` towards `stop` before `after_steps`."""
        steps = self._status.due - self._state.taken_steps
        if stop - start <= steps:
            return stop
        leaf = self._leaf_steps
        return min(stop, start + max(1, -(-steps // leaf)) * leaf)

    def after_steps(self) -> None:
        """Let transfers go on; exchange the ranks' status if it is due. Collective."""
        self._store.engine.progress()
        self._status.progress()
        if self._state.taken_steps >= self._status.due:
            failed = self._store.failed_writes()
            self._state.keep_error(failed.error)
            self._coordinator.exchange(failed)
            self.has_news = True

    def pass_on(self, action: Action, stream: AdaptiveStream) -> AdaptiveStream | None:
        """Pass on to `stream` what was received from the other ranks, after an action. Collective.

        Returns the stream to be played instead, if the file has lost states.
        """
        for status in self._coordinator.received():
            lost = status.lost_writes
            self._missing += self._store.steps_of(lost.start, lost.stop - 1)
            if status.is_full:
                in_use = self._store.rows_in_use - len(self._still_missing())
                self._capacity = min(self._capacity, in_use)
                stream.set_capacity(self._capacity)
        costs = self._coordinator.new_costs()
        if costs is not None:
            stream.update_costs(costs)
        must_start_over = bool(self._missing) or self._is_stalled
        if must_start_over and self._can_start_over(action):
            self.has_news = False
            return self._start_over()
        self.has_news = must_start_over
        return None

    # -- lost states ----------------------------------------------------------------------------

    @property
    def _is_stalled(self) -> bool:
        """Whether the engine is to be replaced: the same on all ranks."""
        return self._coordinator.stalled >= self._store.ordinal

    def _still_missing(self) -> list[int]:
        """Return the states that are lost and were not discarded since, each once."""
        return [step for step in dict.fromkeys(self._missing) if step in self._store]

    def _can_start_over(self, action: Action) -> bool:
        """Whether another schedule could go on from here.

        Not after the `Record` of a leaf that is to be pulled back next, nor before the first
        `PullBack` if the end of the run has been reached; and not where nothing is left to do.
        """
        state = self._state
        is_at_end = state.position == state.num_steps or state.adjoint_at == 0
        return not is_at_end and type(action) is not Record

    def _start_over(self) -> AdaptiveStream | None:
        """Return a stream over what is left to do without the states that are lost. Collective.

        None if the schedule has discarded them before it learnt of that. All that are in the file
        are lost if the engine is stalled.
        """
        store, is_stalled = self._store, self._is_stalled
        lost = store.keys_from(0) if is_stalled else self._still_missing()
        self._missing.clear()
        if not lost and not is_stalled:
            return None
        store.settle_all()
        for step in self._reads.drop():
            self._buffers.discard(step)
        self.tapes.drop()
        for step in lost:
            if is_stalled:
                store.discard(step)
            else:
                store.forget(step)  # and its row is not used again
        if is_stalled:
            self._replace_engine()
        self._capacity = min(self._capacity, store.file.usable_rows)
        self.lost_states += [key for key in lost if key >= 0]
        self.lost_tapes.update(first_step(key) for key in lost if key < 0)
        stream = self._recovery.start_over()
        stream.set_capacity(self._capacity)
        if self._coordinator.cost_changes and self._coordinator.costs is not None:
            stream.update_costs(self._coordinator.costs)
        return stream

    def _replace_engine(self) -> None:
        """Go on with another engine, or in memory: then the journal could not be written either."""
        if not self._store.replace_engine(self._comm) and self._journal is not None:
            self._journal.give_up(self._store.engine_failure)
