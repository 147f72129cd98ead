"""A simulated machine: plays any stream of actions, says whether it is right, and prices it.

The machine has one live state, slots, a file, and the processor and the channel of a
`VirtualClock`. The processor stands still in `Wait`, in a `Restore` straight from the file, and
where an action takes a slot that was given up while its write was under way and the limit on
slots leaves no other.

Every action is checked against what the machine holds at that moment. A transfer counts as done
once the stream has waited for it, not by the clock: a stream is right or wrong whatever the
costs are (except for `Cancel`, which is about time). The first wrong action is named. It takes
memory for the snapshots that are alive, and about 2 µs an action.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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
from adjoint.errors import ArgumentError, ScheduleError
from adjoint.virtual_clock import Transfer, VirtualClock

__all__ = ["Costs", "Price", "price"]


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, or any other unit of time, that things take.

    ``Costs(advance=u_f, pull_back=u_b, write=w, read=r)`` is the model of the theory, in which
    `u_b` is all that reversing a step from its own state takes.
    """

    advance: float = 1.0
    """One step forward."""
    record: float = 0.0
    """What recording one step takes, beyond advancing over it where that is needed as well."""
    pull_back: float = 1.0
    """One step of the adjoint."""
    write: float = 0.0
    """One state to the file."""
    read: float = 0.0
    """One state from the file."""
    post: float = 0.0
    """What posting a transfer keeps the processor busy."""
    store: float = 0.0
    """What a `Store` adds: a copy, or a step out of place."""
    restore: float = 0.0
    """What a `Restore` from a slot adds, unless the slot is given up at once: then none."""
    turn: float = 0.0
    """The terminal cost and its derivative."""
    slowdown: float = 1.0
    """How many times longer computing takes while a transfer is under way."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            least = 1.0 if name == "slowdown" else 0.0
            if not (least <= value < math.inf):
                raise ArgumentError(f"{name} is {value}: it must be finite and at least {least:g}")


@dataclass(frozen=True, slots=True)
class Price:
    """What a stream of actions came to."""

    num_steps: int
    """Steps reversed: all of them, each once."""
    actions: int
    advances: int
    """Steps that `Advance` actions took."""
    leaf_advances: int
    """Steps that `Record` actions took: all but the last of each leaf, and that if need be."""
    peak_slots: int
    """The most snapshots in memory at once, those being written or read included."""
    peak_file_states: int
    """The most snapshots in the file at once, those being written included."""
    writes: int
    """States written to the file."""
    reads: int
    """States read from the file."""
    makespan: float
    """Time from the first action to the end of the last; in the unit of the costs."""
    stall: float
    """Of it, time in which the processor waited for the channel."""


def price(
    actions: Iterable[Action],
    costs: Costs | None = None,
    *,
    num_steps: int | None = None,
    num_slots: int | None = None,
    file_states: int | None = None,
) -> Price:
    """Play the actions; return what they cost, or raise at the first that is wrong.

    Parameters
    ----------
    actions
        A schedule, or any other stream. Read once, lazily.
    costs
        By default those of ``Costs()``: a step costs 1 each way, and nothing else costs anything.
    num_steps
        How many steps there must be. By default as many as were taken at the `Turn`.
    num_slots, file_states
        How many snapshots fit in memory and in the file. By default any number.

    Raises
    ------
    ScheduleError
        The actions are not a correct reversal: the message names the index of the first wrong
        action, the action, and what is wrong.
    """
    machine = _Machine(costs or Costs(), num_steps, num_slots, file_states)
    count, action = 0, None
    try:
        for action, following in _with_following(actions):
            machine.play(action, following)
            count += 1
        action = None
        return machine.finish(count)
    except _ActionError as wrong:
        what = "the end of the actions" if action is None else action
        raise ScheduleError(f"action {count}, {what}: {wrong}") from None


class _ActionError(Exception):
    """What is wrong with the action that is being played."""


def _with_following(actions: Iterable[Action]) -> Iterator[tuple[Action, Action | None]]:
    stream = iter(actions)
    action = next(stream, None)
    while action is not None:
        following = next(stream, None)
        yield action, following
        action = following


class _Machine:
    """What the simulated machine holds, and what it has done so far."""

    def __init__(
        self, costs: Costs, num_steps: int | None, num_slots: int | None, file_states: int | None
    ) -> None:
        self.costs = costs
        self.num_steps = num_steps
        self.num_slots = math.inf if num_slots is None else num_slots
        self.file_states = math.inf if file_states is None else file_states
        self.clock = VirtualClock(costs.slowdown)
        self.live: int | None = 0
        self.adjoint: int | None = None
        self.tapes: set[tuple[int, int]] = set()
        self.slots: set[int] = set()
        """Snapshots that slots hold, or will once they are read."""
        self.file: set[int] = set()
        """Snapshots that the file holds, or will once they are written."""
        self.transfers: dict[int, Transfer] = {}
        """Those not waited for, in the order in which they were posted."""
        self.given_up = 0
        """Slots that no snapshot has any more, but a write."""
        self.advances = self.leaf_advances = self.writes = self.reads = 0
        self.peak_slots = self.peak_file_states = 0
        self._handlers: dict[type, Callable[[Any, Action | None], None]] = {
            Advance: self._advance,
            Record: self._record,
            Turn: self._turn,
            PullBack: self._pull_back,
            Store: self._store,
            Restore: self._restore,
            Offload: self._offload,
            Prefetch: self._prefetch,
            Wait: self._wait,
            Cancel: self._cancel,
            Discard: self._discard,
        }

    def play(self, action: Action, following: Action | None) -> None:
        """Carry out one action; raise `_ActionError` if it cannot be."""
        if self.adjoint == 0:
            raise _ActionError("every step is reversed already: nothing may follow")
        handler = self._handlers.get(type(action))
        if handler is None:
            raise _ActionError(f"{type(action).__name__} is not an action")
        handler(action, following)

    def finish(self, actions: int) -> Price:
        """Check that nothing is missing or left over; return the price."""
        if self.num_steps is None or self.adjoint is None:
            raise _ActionError("there was no Turn: no step is reversed")
        if self.adjoint != 0:
            raise _ActionError(f"the steps [0, {self.adjoint}) are not reversed")
        for place, left in (("slots", self.slots), ("the file", self.file), ("tapes", self.tapes)):
            if left:
                raise _ActionError(f"left over in {place}: {_listed(left)}; give up what you keep")
        return Price(
            num_steps=self.num_steps,
            actions=actions,
            advances=self.advances,
            leaf_advances=self.leaf_advances,
            peak_slots=self.peak_slots,
            peak_file_states=self.peak_file_states,
            writes=self.writes,
            reads=self.reads,
            makespan=self.clock.now,
            stall=self.clock.stall,
        )

    # -- computing ----------------------------------------------------------------------------

    def _advance(self, action: Advance, _: Action | None) -> None:
        self._check_range(action.start, action.stop)
        steps = action.stop - action.start
        self.clock.compute(steps * self.costs.advance)
        self.advances += steps
        self.live = action.stop

    def _record(self, action: Record, following: Action | None) -> None:
        start, stop = action.start, action.stop
        self._check_range(start, stop)
        if self.adjoint is not None and stop > self.adjoint:
            raise _ActionError(f"the adjoint is at {self.adjoint}: no use for this tape")
        if (start, stop) in self.tapes:
            raise _ActionError("this tape is kept already")
        reach_stop = not (
            type(following) is PullBack and following.start == start and following.stop == stop
        )
        advances = stop - start if reach_stop else stop - start - 1
        self.clock.compute(advances * self.costs.advance + (stop - start) * self.costs.record)
        self.leaf_advances += advances
        self.tapes.add((start, stop))
        self.live = stop if reach_stop else None

    def _turn(self, action: Turn, _: Action | None) -> None:
        del action
        if self.adjoint is not None:
            raise _ActionError("there was a Turn already")
        if self.num_steps not in {None, self.live}:
            raise _ActionError(f"{self._where_live()}, not at the last state, {self.num_steps}")
        self.num_steps = self.adjoint = self.live
        self.clock.compute(self.costs.turn)

    def _pull_back(self, action: PullBack, _: Action | None) -> None:
        tape = (action.start, action.stop)
        if action.stop != self.adjoint:
            where = "not there before the Turn" if self.adjoint is None else f"at {self.adjoint}"
            raise _ActionError(f"the adjoint is {where}, not at {action.stop}")
        if tape not in self.tapes:
            raise _ActionError("there is no tape of just these steps: record them")
        self.tapes.remove(tape)
        self.clock.compute((action.stop - action.start) * self.costs.pull_back)
        self.adjoint = action.start
        self.live = None

    # -- keeping ------------------------------------------------------------------------------

    def _store(self, action: Store, _: Action | None) -> None:
        if action.step != self.live:
            raise _ActionError(f"{self._where_live()}, not at {action.step}")
        self._take_slot(action.step)
        self.clock.compute(self.costs.store)

    def _restore(self, action: Restore, following: Action | None) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if step in self.slots:
            if transfer is not None and transfer.reading:
                raise _ActionError("it is still being read: wait for it")
            adopted = (
                type(following) is Discard
                and following.step == step
                and following.tier is Tier.MEMORY
            )
            self.clock.compute(0.0 if adopted else self.costs.restore)
        elif step in self.file:
            self.clock.wait(self._post_read(step))
        else:
            raise _ActionError("no slot has this snapshot, nor has the file")
        self.live = step

    def _offload(self, action: Offload, _: Action | None) -> None:
        step = action.step
        if step not in self.slots:
            raise _ActionError("no slot has this snapshot")
        if step in self.file:
            raise _ActionError("the file has this snapshot already")
        if step in self.transfers:
            raise _ActionError("it is still being read: wait for it")
        if len(self.file) >= self.file_states:
            raise _ActionError(f"the file is full: it has {_listed(self.file)}")
        self.file.add(step)
        self.peak_file_states = max(self.peak_file_states, len(self.file))
        self.writes += 1
        self.clock.compute(self.costs.post)
        self.transfers[step] = self.clock.post(self.costs.write, reading=False)

    def _prefetch(self, action: Prefetch, _: Action | None) -> None:
        if action.step not in self.file:
            raise _ActionError("the file does not have this snapshot")
        self._take_slot(action.step)
        self.transfers[action.step] = self._post_read(action.step)

    def _wait(self, action: Wait, _: Action | None) -> None:
        transfer = self.transfers.pop(action.step, None)
        if transfer is None:
            raise _ActionError("no transfer of this snapshot is under way")
        self.clock.wait(transfer)
        self.given_up -= transfer.given_up

    def _cancel(self, action: Cancel, _: Action | None) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if transfer is None or transfer.reading:
            raise _ActionError("no write of this snapshot is under way")
        if transfer.begins <= self.clock.now:
            raise _ActionError(f"its write began at time {transfer.begins:g}")
        posted = list(self.transfers)
        later = posted[posted.index(step) + 1 :]
        self.clock.cancel(transfer, [self.transfers[other] for other in later])
        self.given_up -= transfer.given_up
        del self.transfers[step]
        self.file.remove(step)
        self.writes -= 1

    def _discard(self, action: Discard, _: Action | None) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if action.tier is Tier.FILE:
            if step not in self.file:
                raise _ActionError("the file does not have this snapshot")
            if transfer is not None:
                raise _ActionError("its transfer is under way: wait for it, or cancel it")
            self.file.remove(step)
            return
        if step not in self.slots:
            raise _ActionError("no slot has this snapshot")
        if transfer is not None and transfer.reading:
            raise _ActionError("it is still being read: wait for it")
        self.slots.remove(step)
        if transfer is not None and not transfer.given_up:
            transfer.given_up = True
            self.given_up += 1

    # -- inside -------------------------------------------------------------------------------

    def _check_range(self, start: int, stop: int) -> None:
        if start != self.live:
            raise _ActionError(f"{self._where_live()}, not at {start}")
        if stop <= start:
            raise _ActionError("there is no step in this range")
        if self.num_steps is not None and stop > self.num_steps:
            raise _ActionError(f"there are only {self.num_steps} steps")

    def _where_live(self) -> str:
        return (
            "the live state is undefined"
            if self.live is None
            else f"the live state is at {self.live}"
        )

    def _take_slot(self, step: int) -> None:
        if step in self.slots:
            raise _ActionError("a slot has this snapshot already")
        if len(self.slots) + self.given_up >= self.num_slots:
            if not self.given_up:
                raise _ActionError(f"no slot is free: they hold {_listed(self.slots)}")
            oldest = next(t for t in self.transfers.values() if t.given_up)
            self.clock.wait(oldest)
            oldest.given_up = False
            self.given_up -= 1
        self.slots.add(step)
        self.peak_slots = max(self.peak_slots, len(self.slots) + self.given_up)

    def _post_read(self, step: int) -> Transfer:
        if step in self.transfers:
            raise _ActionError("its write is under way: wait for it before reading")
        self.reads += 1
        self.clock.compute(self.costs.post)
        return self.clock.post(self.costs.read, reading=True)


def _listed(values: Iterable[Any]) -> str:
    """Return the first few of some values, in order."""
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:5])) + (", …" if len(ordered) > 5 else "")
