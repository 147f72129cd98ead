"""One forward and one reverse sweep: a schedule's actions, carried out.

The schedule decides, the stepper computes, buffers and file store keep; the sweep looks up each
action's handler by its type and calls it. Nothing here asks whether a transfer is done in order
to decide what comes next: every rank carries out the same actions in the same order.

What only one rank can meet is told to the others before it changes anything. A state that is not
finite, or a cost, is an error: it is kept until all ranks raise it together. A state that the file
has lost (a write or a read that failed) is none: all ranks drop it, the schedule is told, and the
gap is recomputed. A schedule that cannot be told is replaced by one that can.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from adjoint.errors import AdjointError, NonFiniteError, ScheduleError, StepperError, TransferError
from adjoint.parallel import Communicator
from adjoint.schedules import AdaptiveStream, FixedStream, Schedule, stream_of
from adjoint.schedules.actions import (
    Action,
    Advance,
    Cancel,
    Discard,
    Offload,
    Prefetch,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
    Wait,
)
from adjoint.schedules.costs import Costs
from adjoint.steppers.protocol import Stepper
from adjoint.storage.checksums import first_non_finite
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.coordination import Coordinator
from adjoint.sweep.file_reads import FileReads
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.observers import Observer
from adjoint.sweep.resume import UNDEFINED, Recovery, SweepState
from adjoint.sweep.signals import SignalWatch

__all__ = ["Sweep"]

Handler = Callable[[Any], None]
"""Carries out one action, of the type that it is looked up by."""

Handlers = dict[type[Action], Handler]

# A long file: eleven actions, and what may go wrong with each, are one machine.


class Sweep:
    """Plays one schedule against a stepper.

    Parameters
    ----------
    stepper
        Freshly started: its state is at step 0.
    num_steps
        How many steps there are; None if only the stepper knows, by its `finished`.
    buffers, store
        Where snapshots go; `store` is None for a schedule without a file.
    comm
        All its ranks play the same schedule.
    journal
        What is written for a run that resumes this one, if anything.
    observer
        Told of every action once it has been carried out.
    """

    def __init__(
        self,
        stepper: Stepper,
        num_steps: int | None,
        buffers: Buffers,
        store: FileStore | None,
        comm: Communicator,
        *,
        journal: Journal | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.actions = 0
        self.advanced_steps = 0
        self.recorded_steps = 0
        self.turned_at = math.nan
        self.lost_states: list[int] = []
        """States that the file has lost, in the order in which that was agreed on."""
        self.tuned: Schedule | None = None
        """The schedule as what was measured would have it, if that differs."""
        self.cost_changes = 0
        """How often the schedule was told of other costs."""
        self._standing = SweepState(num_steps)
        self._stepper = stepper
        self._buffers = buffers
        self._store = store
        self._comm = comm
        self._journal = journal
        self._stream: AdaptiveStream = FixedStream(iter(()))
        self._open = False
        self._reads = None if store is None else FileReads(store)
        self._error: Exception | None = None
        self._pulse: Coordinator | None = None
        self._recovery: Recovery | None = None
        self._observer = observer

    @property
    def num_steps(self) -> int | None:
        """How many steps there are; None until that is known."""
        return self._standing.num_steps

    @property
    def cost(self) -> float:
        """The cost of the steps taken so far, on this rank."""
        return self._standing.cost

    def run(
        self, schedule: Schedule, *, costs: Costs | None = None, found: SavedRecord | None = None
    ) -> float:
        """Carry out the schedule; return this rank's cost. The gradient is in the accumulators.

        Collective. The stepper is left at the end of its reverse sweep, `finish` done. With
        `costs`, those that the schedule was planned on, it follows what is measured. With a record
        that was `found` in the journal, it goes on from there.

        Raises
        ------
        NonFiniteError
            The cost, a state written to the file, or the final state is not finite.
        RunInterruptedError
            A signal told the process to end.
        ScheduleError
            The schedule is not a correct reversal.
        """
        # Not kept in self: a cycle would keep the buffers alive until the collector comes by.
        handlers = self._handlers()
        self._stream = stream_of(schedule)
        interruption = SignalWatch()
        with nullcontext() if self._journal is None else interruption:
            if self._store is not None:
                self._begin(self._store, schedule, costs, found, interruption)
            self._open = self._stream.awaits_num_steps and self._standing.adjoint_at is None
            self._play(handlers)
        if self._standing.adjoint_at != 0:
            raise ScheduleError(
                f"the schedule ended with the adjoint at step {self._standing.adjoint_at}, not 0"
            )
        self._stepper.finish()
        if self._pulse is not None:
            self._error = self._error or self._pulse.write_error()
        self._agree()
        self.tuned = self._stream.revised() if self.cost_changes else None
        return self.cost

    def _begin(
        self,
        store: FileStore,
        schedule: Schedule,
        costs: Costs | None,
        found: SavedRecord | None,
        interruption: SignalWatch,
    ) -> None:
        costs = getattr(schedule, "costs", costs)
        self._recovery = Recovery(self._stepper, self._buffers, store, self._comm, schedule, costs)
        if found is not None and self._journal is not None:
            stream = self._recovery.take_up(self._standing, self._journal, found)
            self._stream = self._stream if stream is None else stream
            if self._standing.adjoint_at is not None:
                self.turned_at = time.perf_counter()
            if stream is None:
                self._journal.start_afresh()
        self._stream.set_capacity(store.file.placement.rows)
        elapsed = 0.0 if found is None else found.note.seconds
        self._pulse = Coordinator(
            self._comm, store, self._journal, interruption, schedule.leaf_steps, costs, elapsed
        )

    def _play(self, handlers: Handlers) -> None:
        try:
            while (action := next(self._stream, None)) is not None:
                self._carry_out(action, handlers)
                if self._pulse is not None:
                    self._listen(self._pulse)
        except BaseException as error:
            if self._pulse is not None and self._comm.has_agreed(error):
                self._pulse.finish()
            raise
        if self._pulse is not None:
            self._pulse.finish()

    def _carry_out(self, action: Action, handlers: Handlers) -> None:
        kind = type(action)
        if kind is Advance and self._open and self.num_steps is not None:
            assert isinstance(action, Advance)
            action = Advance(action.start, min(action.stop, self.num_steps))
        if self._observer is None:
            handlers[kind](action)
        else:
            began = time.perf_counter()
            handlers[kind](action)
            self._observer.on_action(action, began, time.perf_counter())
        self.actions += 1

    def _handlers(self) -> Handlers:
        return {
            Advance: self._advance,
            Record: self._record,
            Turn: self._turn,
            PullBack: self._pull_back,
            Store: self._store_live,
            Restore: self._restore,
            Discard: self._discard,
            Offload: self._offload,
            Prefetch: self._prefetch,
            Wait: self._wait,
            Cancel: self._cancel,
        }

    # -- computing ----------------------------------------------------------------------------

    def _advance(self, action: Advance) -> None:
        standing = self._standing
        if action.start != standing.position:
            raise self._misplaced(action)
        while standing.position < action.stop and not (self._open and self._has_ended()):
            start, stop = standing.position, action.stop
            if start < standing.frontier:
                stop = min(stop, standing.frontier)
            if self._pulse is not None:
                stop = self._pulse.cut(start, stop)
            self._take_steps(start, stop)
            if self._pulse is not None and self._pulse.is_due:
                self._beat(self._pulse)
        if self._open and self._has_ended():
            self._open = False
            standing.num_steps = standing.position
            self._stream.set_num_steps(standing.position)

    def _take_steps(self, start: int, stop: int) -> None:
        standing = self._standing
        counted = start == standing.frontier
        total = self._buffers.advance(start, stop, standing.cost if counted else None)
        if standing.num_steps is None:
            stop = self._reached(start, stop)
        if counted:
            self._spend(total, start, stop)
        standing.position = stop
        self.advanced_steps += stop - start
        if self._pulse is not None:
            self._pulse.note_steps(stop - start, forward=standing.adjoint_at is None)

    def _reached(self, start: int, stop: int) -> int:
        """Return the step that a stepper which may stop early has come to."""
        reached = int(getattr(self._stepper, "position", stop))
        early = reached < stop and not getattr(self._stepper, "finished", False)
        if not start < reached <= stop or early:
            raise StepperError(
                f"asked to advance over [{start}, {stop}), the stepper came to step {reached} and "
                "is not finished: it may stop early only at the end of the run"
            )
        return reached

    def _has_ended(self) -> bool:
        standing = self._standing
        if standing.num_steps is not None:
            return standing.position == standing.num_steps
        return standing.position > 0 and bool(getattr(self._stepper, "finished", False))

    def _record(self, action: Record) -> None:
        start, stop, standing = action.start, action.stop, self._standing
        if start != standing.position:
            raise self._misplaced(action)
        wanted = standing.cost if start == standing.frontier else None
        total = self._buffers.record(start, stop, wanted, reach_stop=action.reach_stop)
        if wanted is not None:
            self._spend(total, start, stop)
        standing.position = stop if action.reach_stop else UNDEFINED
        self.recorded_steps += stop - start
        if self._pulse is not None:
            self._pulse.note_steps(stop - start, forward=False)

    def _spend(self, total: float | None, start: int, stop: int) -> None:
        if total is None:
            raise StepperError(
                f"no cost came back for the steps [{start}, {stop}): return the running total"
            )
        if self._error is None and not math.isfinite(total):
            known = getattr(self._stepper, "first_non_finite", None)
            place = f"the steps [{start}, {stop})" if known is None else f"step {known}"
            self._error = NonFiniteError(
                f"the cost became {total} in {place}{self._where()}: "
                "is the time step stable, are the controls in range?"
            )
        self._standing.cost = total
        self._standing.frontier = stop
        if self._error is not None and self._comm.size == 1:
            self._agree()

    def _turn(self, action: Turn) -> None:
        standing, end = self._standing, self.num_steps
        if end is None or standing.position != end or standing.adjoint_at is not None:
            raise self._misplaced(action)
        name = first_non_finite(self._stepper.state)
        if name is not None and self._error is None:
            self._error = NonFiniteError(
                f"{name!r} is not finite in the final state, {end}{self._where()}"
            )
        self._agree()
        self._spend(self._stepper.turn(standing.cost), end, end)
        self._agree()
        standing.adjoint_at = end
        self.turned_at = time.perf_counter()

    def _pull_back(self, action: PullBack) -> None:
        if action.stop != self._standing.adjoint_at:
            raise self._misplaced(action)
        self._stepper.pull_back(action.start, action.stop)
        self._standing.adjoint_at = action.start
        self._standing.position = UNDEFINED

    # -- keeping ------------------------------------------------------------------------------

    def _store_live(self, action: Store) -> None:
        if action.step != self._standing.position:
            raise self._misplaced(action)
        self._buffers.store(action.step)

    def _restore(self, action: Restore) -> None:
        step = action.step
        if self._is_ahead(step) and not self._finish_read(step):
            return
        if step in self._buffers.slots:
            self._buffers.restore(step)
            self._standing.position = step
            return
        self._standing.position = UNDEFINED
        self._file(action)
        assert self._reads is not None
        self._buffers.receive(step, partial(self._reads.read, step))
        if self._is_read(step):
            self._standing.position = step

    def _discard(self, action: Discard) -> None:
        if action.tier == Tier.MEMORY:
            self._buffers.discard(action.step)
        else:
            self._attempt(self._file(action).discard, action.step)

    def _offload(self, action: Offload) -> None:
        step, standing = action.step, self._standing
        known = standing.frontier == step and standing.adjoint_at is None
        if self._journal is not None:
            self._journal.save_accepted()
        block = self._buffers.slots[step]
        self._file(action).offload(step, block, standing.cost if known else math.nan)
        if self._pulse is not None:
            self._pulse.note_write()

    def _prefetch(self, action: Prefetch) -> None:
        self._file(action)
        assert self._reads is not None
        self._reads.post_ahead(action.step, self._buffers.fill(action.step))

    def _wait(self, action: Wait) -> None:
        if self._is_ahead(action.step):
            self._finish_read(action.step)
        else:
            self._attempt(self._file(action).wait, action.step)

    def _cancel(self, action: Cancel) -> None:
        self._attempt(self._file(action).discard, action.step)

    # -- reading ------------------------------------------------------------------------------

    def _finish_read(self, step: int) -> bool:
        """Wait for a state that is read ahead; return whether all ranks have it."""
        assert self._reads is not None
        self._reads.finish(step)
        return self._is_read(step)

    def _is_read(self, step: int) -> bool:
        """Return whether all ranks have read a state, once they agree on it; else it is lost."""
        assert self._pulse is not None
        assert self._reads is not None
        seconds = self._pulse.read_seconds()
        ranks = self._comm.gather((self._reads.is_good(step), seconds))
        if all(read for read, _ in ranks):
            self._reads.forget(step)
            self._pulse.adapt_reads(max(seconds for _, seconds in ranks), self._stream)
            return True
        self._lose([step])
        return False

    def _is_ahead(self, step: int) -> bool:
        return self._reads is not None and step in self._reads

    def _attempt(self, transfer: Callable[[int], None], step: int) -> None:
        """Wait for a write, or give one up; if it has failed, the next beat will tell."""
        try:
            transfer(step)
        except TransferError:
            return
        except NonFiniteError as error:
            self._error = self._error or error

    # -- hearing of what others met ------------------------------------------------------------

    def _listen(self, pulse: Coordinator) -> None:
        """Let things go on between two actions; deal with what was heard in the last beats."""
        pulse.progress()
        if pulse.is_due:
            self._beat(pulse)
        for word in pulse.news():
            self._lose(pulse.lost(word))
            if word.is_full:
                assert self._store is not None
                self._stream.set_capacity(len(self._store))
            if self._standing.adjoint_at is None:
                pulse.adapt(word, self._stream)
        self.cost_changes = pulse.cost_changes

    def _beat(self, pulse: Coordinator) -> None:
        self._error = self._error or pulse.write_error()
        must_raise = pulse.beat(self._standing, alarm=self._error is not None)
        if must_raise:
            self._agree()

    def _lose(self, steps: list[int]) -> None:
        """Drop states that the file has lost, and have the schedule go on without."""
        if not steps:
            return
        store, recovery, reads = self._store, self._recovery, self._reads
        assert store is not None
        assert recovery is not None
        assert reads is not None
        can_tell = True
        for step in steps:
            if reads.forget(step):
                self._buffers.discard(step)
            store.forget(step)
            self.lost_states.append(step)
            can_tell = can_tell and (step > 0 or step in self._buffers.slots)
            can_tell = can_tell and self._stream.snapshot_lost(step)
        if not can_tell:
            reads.clear()
            self._stream = recovery.start_over(self._standing)
            self._open = self._stream.awaits_num_steps and self._standing.adjoint_at is None

    def _agree(self) -> None:
        error, self._error = self._error, None
        self._comm.agree(error)

    def _file(self, action: Action) -> FileStore:
        if self._store is None:
            raise ScheduleError(f"{action} needs a file, and there is none: give file=")
        return self._store

    def _misplaced(self, action: Action) -> AdjointError:
        standing = self._standing
        return ScheduleError(
            f"{action} with the live state at step {standing.position} and the adjoint at "
            f"{standing.adjoint_at}{self._where()}: adjoint.replay.price names the first wrong "
            "action"
        )

    def _where(self) -> str:
        return f" on rank {self._comm.rank}" if self._comm.size > 1 else ""
