"""One forward and one reverse sweep: a schedule's actions, carried out.

The schedule decides, the stepper computes, buffers and file store keep; the sweep looks up each
action's handler by its type and calls it. Nothing here asks whether a transfer is done in order
to decide what comes next: every rank carries out the same actions in the same order.

Failures that only one rank can meet (a transfer, a state that is not finite) are kept until the
next action at which all ranks agree: the turn, the first use of a state that was read, the end.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import cast

from adjoint.actions import (
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
from adjoint.buffers import Buffers
from adjoint.comm import Communicator
from adjoint.errors import AdjointError, NonFiniteError, ScheduleError, StepperError, TransferError
from adjoint.schedules import SteeredStream
from adjoint.stepping import Stepper
from adjoint.storage.file_store import FileStore
from adjoint.storage.integrity import first_non_finite
from adjoint.storage.slots import Block

__all__ = ["Handler", "Handlers", "Sweep"]

Handler = Callable[..., None]
"""Carries out one action. That of `Record` is given the action after it as well."""

Handlers = dict[type[Action], Handler]

UNDEFINED = -1
"""The position of a live state that no step describes."""


class Sweep:
    """Plays one schedule against a stepper.

    Parameters
    ----------
    stepper
        Freshly started: its state is at step 0.
    num_steps
        How many steps there are.
    buffers, store
        Where snapshots go; `store` is None for a schedule without a file.
    comm
        All its ranks play the same schedule.
    watch
        Wraps the handlers before use: for a timeline, or a progress bar.
    """

    def __init__(
        self,
        stepper: Stepper,
        num_steps: int,
        buffers: Buffers,
        store: FileStore | None,
        comm: Communicator,
        *,
        watch: Callable[[Handlers], Handlers] | None = None,
    ) -> None:
        self.actions = 0
        self.advanced_steps = 0
        self.recorded_steps = 0
        self.cost = 0.0
        self.turned_at = math.nan
        self._stepper = stepper
        self.num_steps = num_steps
        self._buffers = buffers
        self._store = store
        self._comm = comm
        self._position = 0
        self._frontier = 0
        self._adjoint_at: int | None = None
        self._reads: set[int] = set()
        self._error: Exception | None = None
        self._watch = watch

    def run(self, schedule: Iterable[Action]) -> float:
        """Carry out the schedule; return this rank's cost. The gradient is in the accumulators.

        Collective. The stepper is left at the end of its reverse sweep, `finish` done.

        Raises
        ------
        NonFiniteError
            The cost, a state written to the file, or the final state is not finite.
        TransferError
            A write or a read failed.
        ScheduleError
            The schedule is not a correct reversal.
        """
        # Not kept in self: a cycle would keep the buffers alive until the collector comes by.
        handlers = self._handlers()
        dispatch = handlers if self._watch is None else self._watch(handlers)
        stream = iter(schedule)
        if hasattr(stream, "finished"):
            stream = self._telling_the_end(cast(SteeredStream, stream))
        if self._store is not None:
            stream = _progressing(stream, self._store.engine.progress)
        self._play(stream, dispatch)
        if self._adjoint_at != 0:
            raise ScheduleError(
                f"the schedule ended with the adjoint at step {self._adjoint_at}, not 0"
            )
        self._stepper.finish()
        self._agree()
        return self.cost

    def _telling_the_end(self, stream: SteeredStream) -> Iterator[Action]:
        """Give the actions of a schedule that has to be told where the run ends."""
        end = self.num_steps
        for action in stream:
            if type(action) is Advance and action.stop > end:
                yield Advance(action.start, end)
            else:
                yield action
            if self._position == end and self._adjoint_at is None:
                stream.finished(end)
                break
        yield from stream

    def _play(self, actions: Iterator[Action], dispatch: Handlers) -> None:
        count = 0
        for action in actions:
            kind = type(action)
            while kind is Record:
                # Only the action after it says whether a record must reach its stop.
                then = next(actions, None)
                dispatch[Record](action, then)
                assert then is not None, "a Record that ends the schedule has raised"
                count += 1
                action, kind = then, type(then)  # noqa: PLW2901
            dispatch[kind](action)
            count += 1
        self.actions = count

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
        start, stop = action.start, action.stop
        if start != self._position:
            raise self._misplaced(action)
        if start == self._frontier:
            self._spend(self._buffers.advance(start, stop, self.cost), start, stop)
        else:
            self._buffers.advance(start, stop, None)
        self._position = stop
        self.advanced_steps += stop - start

    def _record(self, action: Record, then: Action | None) -> None:
        start, stop = action.start, action.stop
        if start != self._position:
            raise self._misplaced(action)
        if then is None:
            raise ScheduleError(f"the schedule ended with {action}, whose tape nothing pulls back")
        reach_stop = type(then) is not PullBack or (then.start, then.stop) != (start, stop)
        wanted = self.cost if start == self._frontier else None
        total = self._buffers.record(start, stop, wanted, reach_stop=reach_stop)
        if wanted is not None:
            self._spend(total, start, stop)
        self._position = stop if reach_stop else UNDEFINED
        self.recorded_steps += stop - start

    def _spend(self, total: float | None, start: int, stop: int) -> None:
        if total is None:
            raise StepperError(
                f"no cost came back for the steps [{start}, {stop}): return the running total"
            )
        if self._error is None and not math.isfinite(total):
            self._error = NonFiniteError(
                f"the cost became {total} in the steps [{start}, {stop}){self._where()}: "
                "is the time step stable, are the controls in range?"
            )
        self.cost = total
        self._frontier = stop
        if self._error is not None and self._comm.size == 1:
            self._agree()

    def _turn(self, action: Turn) -> None:
        if self._position != self.num_steps or self._adjoint_at is not None:
            raise self._misplaced(action)
        name = first_non_finite(self._stepper.state)
        if name is not None and self._error is None:
            self._error = NonFiniteError(
                f"{name!r} is not finite in the final state, {self.num_steps}{self._where()}"
            )
        self._agree()
        self._spend(self._stepper.turn(self.cost), self.num_steps, self.num_steps)
        self._agree()
        self._adjoint_at = self.num_steps
        self.turned_at = time.perf_counter()

    def _pull_back(self, action: PullBack) -> None:
        if action.stop != self._adjoint_at:
            raise self._misplaced(action)
        self._stepper.pull_back(action.start, action.stop)
        self._adjoint_at = action.start
        self._position = UNDEFINED

    # -- keeping ------------------------------------------------------------------------------

    def _store_live(self, action: Store) -> None:
        if action.step != self._position:
            raise self._misplaced(action)
        self._buffers.store(action.step)

    def _restore(self, action: Restore) -> None:
        step = action.step
        if step in self._reads:
            self._finish_read(step)
        if step in self._buffers.slots:
            self._buffers.restore(step)
        else:
            self._buffers.receive(step, partial(self._read, self._file(action), step))
        self._position = step

    def _discard(self, action: Discard) -> None:
        if action.tier == Tier.MEMORY:
            self._buffers.discard(action.step)
        else:
            self._attempt(self._file(action).discard, action.step)

    def _offload(self, action: Offload) -> None:
        self._file(action).offload(action.step, self._buffers.slots[action.step])

    def _prefetch(self, action: Prefetch) -> None:
        store = self._file(action)
        block = self._buffers.fill(action.step)
        self._attempt(lambda step: store.prefetch(step, block), action.step)
        self._reads.add(action.step)

    def _wait(self, action: Wait) -> None:
        if action.step in self._reads:
            self._finish_read(action.step)
        else:
            self._attempt(self._file(action).wait, action.step)

    def _cancel(self, action: Cancel) -> None:
        self._attempt(self._file(action).discard, action.step)

    # -- failing ------------------------------------------------------------------------------

    def _read(self, store: FileStore, step: int, block: Block) -> None:
        """Read a state at once."""
        self._attempt(lambda step: store.prefetch(step, block), step)
        self._finish_read(step)

    def _finish_read(self, step: int) -> None:
        """Wait for a read; all ranks agree on it before the state is used."""
        assert self._store is not None
        self._attempt(self._store.wait, step)
        self._reads.discard(step)
        self._agree()

    def _attempt(self, transfer: Callable[[int], None], step: int) -> None:
        try:
            transfer(step)
        except (TransferError, NonFiniteError) as error:
            self._error = self._error or error

    def _agree(self) -> None:
        error, self._error = self._error, None
        self._comm.agree(error)

    def _file(self, action: Action) -> FileStore:
        if self._store is None:
            raise ScheduleError(f"{action} needs a file, and there is none: give file=")
        if getattr(action, "tier", Tier.FILE) > Tier.FILE:
            raise ScheduleError(
                f"{action} is of a tier below the file, which can be planned and replayed but not "
                "run: there is one file"
            )
        return self._store

    def _misplaced(self, action: Action) -> AdjointError:
        return ScheduleError(
            f"{action} with the live state at step {self._position} and the adjoint at "
            f"{self._adjoint_at}{self._where()}: adjoint.replay.price names the first wrong action"
        )

    def _where(self) -> str:
        return f" on rank {self._comm.rank}" if self._comm.size > 1 else ""


def _progressing(schedule: Iterable[Action], progress: Callable[[], None]) -> Iterator[Action]:
    """Give the actions, letting transfers go on between them."""
    for action in schedule:
        yield action
        progress()
