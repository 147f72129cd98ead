"""One forward and one reverse sweep: the actions of a schedule, carried out.

The schedule decides, the stepper computes, buffers and file keep. Every rank carries out the same
actions in the same order; each action's handler is looked up by its type.

An error that only one rank can meet, such as a cost that is not finite, is kept until all ranks
raise it together (`SweepState.agree`). What a file adds is all in `adjoint.sweep.file_tier`.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from adjoint.errors import NonFiniteError, ScheduleError, StepperError
from adjoint.parallel import Communicator
from adjoint.schedules import AdaptiveSchedule, AdaptiveStream, Schedule, stream_of
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
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.hooks import real_number
from adjoint.steppers.protocol import Stepper
from adjoint.storage.checksums import first_non_finite
from adjoint.storage.store import FileStore
from adjoint.sweep.blow_up import name_first_step
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.file_tier import FileTier
from adjoint.sweep.gradient_check import GradientCheck
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.observers import Observer
from adjoint.sweep.open_end import actions_of
from adjoint.sweep.replay_check import NoCheck, ReplayCheck
from adjoint.sweep.state import UNDEFINED, SweepResult, SweepState

__all__ = ["Sweep"]

MEMORY = Tier.MEMORY
"""Looked up once: an attribute of an enumeration is slow to read."""


class Sweep:
    """One evaluation of a cost and its gradient; a new object for each.

    Parameters
    ----------
    stepper
        Freshly started: its state is at step 0.
    num_steps
        Steps of the run; None if only the stepper knows, by its `finished`.
    buffers, store
        Where snapshots go; `store` is None for a schedule without a file.
    comm
        The ranks, which all play the same schedule.
    journal
        What is written to the store's file so that the run can be resumed, if anything.
    check_replays
        Whether to compare what steps give that are taken again.
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
        check_replays: bool = False,
    ) -> None:
        self._stepper = stepper
        self._capabilities = Capabilities.of(stepper)
        self._buffers = buffers
        self._store = store
        self._comm = comm
        self._journal = journal
        self._state = SweepState(num_steps)
        self._actions = 0
        self._file: FileTier | None = None
        self._check: NoCheck = NoCheck()
        if check_replays:
            self._check = ReplayCheck(self._capabilities, buffers, store, self._state, comm)
        self._gradient_check = GradientCheck(self._capabilities, self._on_rank())

    def run(
        self,
        schedule: Schedule,
        *,
        costs: Costs | None = None,
        found: Sequence[SavedRecord] = (),
        observer: Observer | None = None,
    ) -> SweepResult:
        """Carry out a schedule. Collective.

        The gradient is then in the stepper's accumulators, and the stepper at the end of its
        reverse sweep, `finish` done.

        Parameters
        ----------
        schedule
            What is played.
        costs
            What it was planned on, unless it has costs of its own. With costs, what steps and
            transfers take is measured, and the schedule is adapted to it if it can be.
        found
            Records of the journal that the run may be resumed from, the latest first.
        observer
            Informed of every action once it has been carried out.

        Raises
        ------
        NonFiniteError
            The cost, a state written to the file, the final state, the adjoint or the gradient is
            not finite.
        ReplayError
            A step gave something else when it was taken again.
        RunInterruptedError
            A signal has asked the process to end.
        ScheduleError
            The schedule is not a correct reversal.
        """
        stream = stream_of(schedule)
        try:
            if self._store is None:
                self._play(stream, observer)
            else:
                self._file = file = self._file_tier(self._store, schedule, costs)
                with file.signals.under_way, file.running():
                    stream = self._play(file.begin(stream, found), observer)
                    if self._state.adjoint_at == 0:
                        file.heed_signals()
        except NonFiniteError as error:
            name_first_step(error, self._state, self._capabilities, self._buffers, self._comm)
            raise
        self._finish()
        return self._result(schedule, stream)

    def _file_tier(self, store: FileStore, schedule: Schedule, costs: Costs | None) -> FileTier:
        if isinstance(schedule, AdaptiveSchedule):
            costs = schedule.costs
        stepper, buffers, state = self._stepper, self._buffers, self._state
        return FileTier(store, self._journal, stepper, buffers, self._comm, state, schedule, costs)

    def _play(self, stream: AdaptiveStream, observer: Observer | None) -> AdaptiveStream:
        """Carry out a stream's actions, or those of the stream that replaces it; return the last.

        What this loop does for each action is the overhead of the driver: see
        `tests/benchmarks/driver_overhead.py`.
        """
        # Handlers in self would be a cycle that keeps the buffers alive until they are collected.
        handlers, file, state = self._handlers(), self._file, self._state
        clock, actions = time.perf_counter, 0
        while True:
            self._check.begin()
            for action in actions_of(stream, state):
                if observer is None:
                    handlers[type(action)](action)
                else:
                    began = clock()
                    handlers[type(action)](action)
                    observer.on_action(action, began, clock())
                actions += 1
                if file is not None and file.has_news:
                    replacement = file.pass_on(action, stream)
                    if replacement is not None:
                        stream = replacement
                        break
            else:
                self._actions = actions
                return stream

    def _finish(self) -> None:
        if self._state.adjoint_at != 0:
            raise ScheduleError(
                f"the schedule ended with the adjoint at step {self._state.adjoint_at}, not 0"
            )
        self._state.fail(self._gradient_check.examine(0, 0), self._comm)
        self._stepper.finish()
        self._state.fail(self._gradient_check.after_finish(), self._comm)
        if self._file is not None:
            self._file.finish()
        self._state.agree(self._comm)

    def _result(self, schedule: Schedule, stream: AdaptiveStream) -> SweepResult:
        state, file = self._state, self._file
        lost, changes = ((), 0) if file is None else (tuple(file.lost_states), file.cost_changes)
        revised = stream.revised() if changes else None
        if revised is not None and revised.num_steps != schedule.num_steps:
            revised = None  # the end of the run was found, and is not part of `schedule`
        assert state.num_steps is not None
        return SweepResult(
            cost=state.cost,
            num_steps=state.num_steps,
            actions=self._actions,
            advanced_steps=state.taken_steps - state.recorded_steps,
            recorded_steps=state.recorded_steps,
            turned_at=state.turned_at,
            compared_states=self._check.compared,
            lost_states=lost,
            cost_changes=changes,
            revised=revised,
        )

    def _handlers(self) -> dict[type[Action], Callable[[Any], object]]:
        file = self._file
        return {
            Advance: self._advance,
            Record: self._record,
            Turn: self._turn,
            PullBack: self._pull_back,
            Store: self._store_live,
            Restore: self._restore,
            Discard: self._discard,
            Offload: self._file_of if file is None else file.offload,
            Prefetch: self._file_of if file is None else file.prefetch,
            Wait: self._file_of if file is None else file.wait,
            Cancel: self._cancel,
        }

    # -- computing ----------------------------------------------------------------------------

    def _advance(self, action: Advance) -> None:
        state, file, check = self._state, self._file, self._check
        if action.start != state.position:
            raise self._misplaced(action)
        while (start := state.position) < action.stop and start != state.num_steps:
            stop = action.stop
            if start < state.frontier < stop:
                stop = state.frontier
            if file is not None:
                stop = file.next_stop(start, stop)
            is_first = start == state.frontier
            cost = state.cost if is_first else check.cost
            total = self._buffers.advance(start, stop, cost)
            if state.num_steps is None:
                stop = self._reached(start, stop)
            if is_first:
                self._count_cost(total, start, stop)
            state.position = stop
            state.taken_steps += stop - start
            check.reached(stop, None if cost is None else total, first_time=is_first)
            if file is not None:
                file.after_steps()

    def _reached(self, start: int, stop: int) -> int:
        """Return the step that a stepper which may stop early is at; note whether it is the end."""
        at = self._capabilities.position
        reached, finished = stop if at is None else at, self._capabilities.finished
        if not start < reached <= stop or (reached < stop and not finished):
            raise StepperError(
                f"asked to advance over [{start}, {stop}), the stepper came to step {reached} and "
                "is not finished: it may stop early only at the end of the run"
            )
        if finished:
            self._state.num_steps = reached
        return reached

    def _record(self, action: Record) -> None:
        start, stop, state, check = action.start, action.stop, self._state, self._check
        if start != state.position:
            raise self._misplaced(action)
        is_first = start == state.frontier
        cost = state.cost if is_first else check.leaf_cost
        reach_stop = check.begin_leaf(start, stop, reach_stop=action.reach_stop)
        total = self._buffers.record(start, stop, cost, reach_stop=reach_stop)
        if is_first:
            self._count_cost(total, start, stop)
        state.position = stop if action.reach_stop else UNDEFINED
        state.taken_steps += stop - start
        state.recorded_steps += stop - start
        if reach_stop:
            check.end_leaf(stop, None if cost is None else total, first_time=is_first)
        if self._file is not None:
            self._file.after_steps()

    def _count_cost(self, total: float | None, start: int, stop: int) -> None:
        """Update the running total of the cost, which now includes ``[start, stop)``."""
        state = self._state
        if total is None:
            raise StepperError(
                f"no cost came back for the steps [{start}, {stop}): return the running total"
            )
        if type(total) is not float:
            total = real_number(total, f"the stepper, for the steps [{start}, {stop}),")
        if not math.isfinite(total):
            state.failed_from = start if state.failed_from is None else state.failed_from
            step = self._capabilities.first_non_finite
            place = f"the steps [{start}, {stop})" if step is None else f"step {step}"
            state.keep_error(
                NonFiniteError(
                    f"the cost became {total} in {place}{self._on_rank()}: "
                    "is the time step stable, are the controls in range?"
                )
            )
        state.cost = total
        state.frontier = stop
        if state.error is not None and self._comm.size == 1:
            state.agree(self._comm)

    def _turn(self, action: Turn) -> None:
        state, end = self._state, self._state.num_steps
        if end is None or state.position != end or state.adjoint_at is not None:
            raise self._misplaced(action)
        name = first_non_finite(self._stepper.state)
        if name is not None:
            state.keep_error(
                NonFiniteError(f"{name!r} is not finite in the final state, {end}{self._on_rank()}")
            )
        state.agree(self._comm)
        self._count_cost(self._stepper.turn(state.cost), end, end)
        state.agree(self._comm)
        state.fail(self._gradient_check.after_turn(end), self._comm)
        state.adjoint_at = end
        state.turned_at = time.perf_counter()

    def _pull_back(self, action: PullBack) -> None:
        start, stop, state, check = action.start, action.stop, self._state, self._gradient_check
        if stop != state.adjoint_at:
            raise self._misplaced(action)
        self._buffers.pull_back(start, stop)
        if check.leaves_left:
            check.leaves_left -= 1
        else:
            state.fail(check.examine(start, stop), self._comm)
        state.adjoint_at = start
        state.position = UNDEFINED
        if self._check.starts:
            self._check.pulled_back(stop)
        if self._file is not None:
            self._file.after_steps()

    # -- keeping ------------------------------------------------------------------------------

    def _store_live(self, action: Store) -> None:
        if action.step != self._state.position:
            raise self._misplaced(action)
        self._buffers.store(action.step)
        self._check.stored(action.step)

    def _restore(self, action: Restore) -> None:
        step, state = action.step, self._state
        if step not in self._buffers.slots:
            state.position = UNDEFINED
            if self._file_of(action).read(step):
                state.position = step
        elif self._file is None or self._file.finish_read(step):
            self._buffers.restore(step)
            state.position = step
        if state.position == step:
            self._check.restored(step)

    def _discard(self, action: Discard) -> None:
        if action.tier is MEMORY:
            self._check.releasing(action.step)
            self._buffers.discard(action.step)
        else:
            self._cancel(action)

    def _cancel(self, action: Cancel | Discard) -> None:
        self._check.dropping(action.step)
        self._file_of(action).discard(action.step)

    def _file_of(self, action: Action) -> FileTier:
        if self._file is None:
            raise ScheduleError(f"{action} needs a file, and there is none: give file=")
        return self._file

    # -- errors -------------------------------------------------------------------------------

    def _misplaced(self, action: Action) -> ScheduleError:
        state = self._state
        return ScheduleError(
            f"{action} with the live state at step {state.position} and the adjoint at "
            f"{state.adjoint_at}{self._on_rank()}: adjoint.replay.price names the first wrong "
            "action"
        )

    def _on_rank(self) -> str:
        return f" on rank {self._comm.rank}" if self._comm.size > 1 else ""
