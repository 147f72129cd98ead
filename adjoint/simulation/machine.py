"""The simulated machine that `adjoint.replay` plays actions on: its contents and its clock."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from adjoint.schedules.actions import (
    Action,
    Advance,
    Cancel,
    Discard,
    Offload,
    OffloadTape,
    Prefetch,
    PrefetchTape,
    PullBack,
    Record,
    Restore,
    RestoreTape,
    Store,
    Tier,
    Turn,
    Wait,
)
from adjoint.schedules.clock import Transfer, VirtualClock
from adjoint.schedules.costs import Costs

__all__ = ["Limits", "Machine", "WrongActionError"]


class WrongActionError(Exception):
    """Says what is wrong with the action being played."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that a stream of actions must respect; None is no limit."""

    num_steps: int | None = None
    num_slots: int | None = None
    file_states: int | None = None
    """The most snapshots in the file."""
    tape_slots: int = 0
    """Slots that each tape beyond the first takes."""
    tape_pieces: int = 1
    """Transfers that a tape takes on its way to the file, and on its way back."""


class Machine:
    """The contents of the simulated machine, and counts of what it has done so far."""

    def __init__(self, costs: Costs, limits: Limits) -> None:
        self.costs = costs
        self.num_steps = limits.num_steps
        self.num_slots = math.inf if limits.num_slots is None else limits.num_slots
        self.file_capacity = math.inf if limits.file_states is None else limits.file_states
        self.tape_slots = limits.tape_slots
        self.tape_pieces = limits.tape_pieces
        self.clock = VirtualClock(costs)
        self.live: int | None = 0
        self.adjoint: int | None = None
        self.tapes: set[tuple[int, int]] = set()
        self.slots: set[int] = set()
        """Snapshots in slots, including those still being read."""
        self.file: set[int] = set()
        """Snapshots in the file, including those still being written."""
        self.transfers: dict[int, Transfer] = {}
        """Those not waited for, by step, in the order in which they were posted."""
        self.draining_slots = 0
        """Discarded slots that are being written from, and so are not free yet."""
        self.file_tapes: set[tuple[int, int]] = set()
        """Tapes in the file, including those still being written."""
        self.leaving: dict[tuple[int, int], Transfer] = {}
        """Tapes whose memory is being written from, in the order in which they were posted."""
        self.coming: dict[tuple[int, int], Transfer] = {}
        """Tapes that are being read, and not restored yet."""
        self._announcing: Record | Restore | None = None
        """The previous action, if its flag announces the next one."""
        self.advances = self.leaf_advances = self.writes = self.reads = 0
        self.tapes_written = self.tapes_read = 0
        self.peak_slots = self.peak_tapes = self.peak_units = self.peak_file_states = 0
        self.peak_file_tapes = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
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
            OffloadTape: self._offload_tape,
            PrefetchTape: self._prefetch_tape,
            RestoreTape: self._restore_tape,
        }

    def play(self, action: Action) -> None:
        """Carry out one action; raise `WrongActionError` if it cannot be."""
        if self._announcing is not None:
            self._check_announced(self._announcing, action)
        if self.adjoint == 0:
            raise WrongActionError("every step is reversed already: nothing may follow")
        handler = self._handlers.get(type(action))
        if handler is None:
            raise WrongActionError(f"{type(action).__name__} is not an action")
        handler(action)

    def finish(self) -> None:
        """Raise `WrongActionError` if the reversal is incomplete or anything is left over."""
        if self._announcing is not None:
            raise WrongActionError(f"{self._announcing} announced {_announced(self._announcing)}")
        if self.num_steps is None or self.adjoint is None:
            raise WrongActionError("there was no Turn: no step is reversed")
        if self.adjoint != 0:
            raise WrongActionError(f"the steps [0, {self.adjoint}) are not reversed")
        tapes = self.tapes | self.coming.keys() | self.file_tapes
        places = {"slots": self.slots, "tapes": tapes, "the file": self.file}
        for place, left in places.items():
            if left:
                raise WrongActionError(f"left over in {place}: {_listed(left)}; discard it")

    # -- computing ----------------------------------------------------------------------------

    def _advance(self, action: Advance) -> None:
        self._check_range(action.start, action.stop)
        steps = action.stop - action.start
        self.clock.compute(steps * self.costs.advance)
        self.advances += steps
        self.live = action.stop

    def _record(self, action: Record) -> None:
        start, stop, reach_stop = action.start, action.stop, action.reach_stop
        self._check_range(start, stop)
        if self.adjoint is not None and stop > self.adjoint:
            raise WrongActionError(f"the adjoint is at {self.adjoint}: this tape is of no use")
        if (start, stop) in self.tapes or (start, stop) in self.file_tapes:
            raise WrongActionError("this tape is kept already")
        if not reach_stop:
            self._announcing = action
        self._add_tape(start, stop)
        self.clock.compute(self.costs.recording(stop - start, reach_stop=reach_stop))
        self.leaf_advances += stop - start if reach_stop else stop - start - 1
        self.live = stop if reach_stop else None

    def _turn(self, action: Turn) -> None:
        del action
        if self.adjoint is not None:
            raise WrongActionError("there was a Turn already")
        if self.num_steps not in {None, self.live}:
            raise WrongActionError(f"{self._where_live()}, not at the last state, {self.num_steps}")
        self.num_steps = self.adjoint = self.live
        self.clock.compute(self.costs.turn)

    def _pull_back(self, action: PullBack) -> None:
        tape = (action.start, action.stop)
        if action.stop != self.adjoint:
            where = "not there before the Turn" if self.adjoint is None else f"at {self.adjoint}"
            raise WrongActionError(f"the adjoint is {where}, not at {action.stop}")
        if tape not in self.tapes:
            raise WrongActionError("there is no tape of exactly these steps: record them")
        self.tapes.remove(tape)
        self.file_tapes.discard(tape)
        self.clock.compute((action.stop - action.start) * self.costs.pull_back)
        self.adjoint = action.start
        self.live = None

    # -- keeping ------------------------------------------------------------------------------

    def _store(self, action: Store) -> None:
        if action.step != self.live:
            raise WrongActionError(f"{self._where_live()}, not at {action.step}")
        self._take_slot(action.step)
        self.clock.compute(self.costs.store)

    def _restore(self, action: Restore) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if step in self.slots:
            if transfer is not None and transfer.reading:
                raise WrongActionError("it is still being read: wait for it")
            self.clock.compute(self.costs.restore if action.keep else 0.0)
        else:
            if step not in self.file:
                raise WrongActionError("no slot has this snapshot, nor has the file")
            self.clock.wait(self._post_read(step))
        if not action.keep:
            self._announcing = action
        self.live = step

    def _offload(self, action: Offload) -> None:
        step = action.step
        if step not in self.slots:
            raise WrongActionError("no slot has this snapshot")
        if step in self.file:
            raise WrongActionError("the file has this snapshot already")
        if step in self.transfers:
            raise WrongActionError("another transfer of it is under way: wait for it")
        if len(self.file) >= self.file_capacity:
            raise WrongActionError(f"the file is full: it has {_listed(self.file)}")
        self.file.add(step)
        self.peak_file_states = max(self.peak_file_states, len(self.file))
        self.writes += 1
        self.clock.compute(self.costs.post)
        self.transfers[step] = self.clock.post(self.costs.write, reading=False)

    def _prefetch(self, action: Prefetch) -> None:
        if action.step not in self.file:
            raise WrongActionError("the file does not have this snapshot")
        self._take_slot(action.step)
        self.transfers[action.step] = self._post_read(action.step)

    def _wait(self, action: Wait) -> None:
        transfer = self.transfers.pop(action.step, None)
        if transfer is None:
            raise WrongActionError("no transfer of this snapshot is under way")
        self.clock.wait(transfer)
        self.draining_slots -= transfer.frees_slot

    def _cancel(self, action: Cancel) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if transfer is None or transfer.reading:
            raise WrongActionError("no write of this snapshot is under way")
        if transfer.begins > self.clock.now:
            posted = list(self.transfers)
            later = posted[posted.index(step) + 1 :]
            self.clock.cancel(transfer, [self.transfers[other] for other in later])
            self.writes -= 1
        else:
            self.clock.wait(transfer)
        self.draining_slots -= transfer.frees_slot
        del self.transfers[step]
        self.file.remove(step)

    def _discard(self, action: Discard) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if action.tier != Tier.MEMORY:
            if step not in self.file:
                raise WrongActionError("the file does not have this snapshot")
            if transfer is not None:
                raise WrongActionError("its transfer is under way: wait for it, or cancel it")
            self.file.remove(step)
            return
        if step not in self.slots:
            raise WrongActionError("no slot has this snapshot")
        if transfer is not None and transfer.reading:
            raise WrongActionError("it is still being read: wait for it")
        self.slots.remove(step)
        if transfer is not None and not transfer.frees_slot:
            transfer.frees_slot = True
            self.draining_slots += 1

    # -- tapes in the file --------------------------------------------------------------------

    def _offload_tape(self, action: OffloadTape) -> None:
        tape = (action.start, action.stop)
        if tape not in self.tapes:
            raise WrongActionError("there is no tape of exactly these steps: record them")
        if tape in self.file_tapes:
            raise WrongActionError("the file has this tape already")
        self.tapes.remove(tape)
        self.file_tapes.add(tape)
        self.peak_file_tapes = max(self.peak_file_tapes, len(self.file_tapes))
        self.tapes_written += 1
        self.clock.compute(self.tape_pieces * self.costs.post)
        seconds = self.tape_pieces * self.costs.piece_write
        self.leaving[tape] = self.clock.post(seconds, reading=False)

    def _prefetch_tape(self, action: PrefetchTape) -> None:
        tape = (action.start, action.stop)
        if tape not in self.file_tapes:
            raise WrongActionError("the file does not have this tape")
        if tape in self.coming or tape in self.tapes:
            raise WrongActionError("this tape is in memory already, or being read")
        if tape in self.leaving:
            self.clock.wait(self.leaving.pop(tape))
        self._add_tape(*tape)
        self.tapes.remove(tape)
        self.tapes_read += 1
        self.clock.compute(self.tape_pieces * self.costs.post)
        seconds = self.tape_pieces * self.costs.piece_read
        self.coming[tape] = self.clock.post(seconds, reading=True)

    def _restore_tape(self, action: RestoreTape) -> None:
        tape = (action.start, action.stop)
        if tape not in self.coming:
            self._prefetch_tape(PrefetchTape(*tape))
        self.clock.wait(self.coming.pop(tape))
        self.tapes.add(tape)

    # -- inside -------------------------------------------------------------------------------

    def _check_announced(self, announcing: Record | Restore, action: Any) -> None:
        if isinstance(announcing, Record):
            matches = (
                type(action) is PullBack
                and action.start == announcing.start
                and action.stop == announcing.stop
            )
        else:
            matches = (
                type(action) is Discard
                and action.step == announcing.step
                and action.tier == Tier.MEMORY
            )
        if not matches:
            raise WrongActionError(f"{announcing} announced {_announced(announcing)}")
        self._announcing = None

    def _check_range(self, start: int, stop: int) -> None:
        if start != self.live:
            raise WrongActionError(f"{self._where_live()}, not at {start}")
        if stop <= start:
            raise WrongActionError("there is no step in this range")
        if self.num_steps is not None and stop > self.num_steps:
            raise WrongActionError(f"there are only {self.num_steps} steps")

    def _where_live(self) -> str:
        return (
            "the live state is undefined"
            if self.live is None
            else f"the live state is at {self.live}"
        )

    def _units(self) -> int:
        """Return the number of slots in use, including those that tapes beyond the first take."""
        kept_tapes = max(0, len(self.tapes) + len(self.coming) - 1) + len(self.leaving)
        return len(self.slots) + self.draining_slots + self.tape_slots * kept_tapes

    def _add_tape(self, start: int, stop: int) -> None:
        """Take memory for a tape."""
        self.tapes.add((start, stop))
        if not self._has_room(0):
            raise WrongActionError(
                f"no room for this tape: slots hold {_listed(self.slots)}, "
                f"and {len(self.tapes) + len(self.coming) - 1} tapes are kept"
            )
        self.peak_tapes = max(self.peak_tapes, len(self.tapes) + len(self.coming))

    def _take_slot(self, step: int) -> None:
        if step in self.slots:
            raise WrongActionError("a slot has this snapshot already")
        if not self._has_room(1):
            raise WrongActionError(f"no slot is free: they hold {_listed(self.slots)}")
        self.slots.add(step)
        self.peak_slots = max(self.peak_slots, len(self.slots) + self.draining_slots)

    def _has_room(self, more: int) -> bool:
        """Return whether so many more slots can be in use, once writes from others are done."""
        while (units := self._units() + more) > self.num_slots:
            slots = [each for each in self.transfers.values() if each.frees_slot][:1]
            leaving = [*slots, *list(self.leaving.values())[:1]]
            if not leaving:
                break
            oldest = min(leaving, key=lambda transfer: transfer.ends)
            self.clock.wait(oldest)
            if slots and oldest is slots[0]:
                oldest.frees_slot = False
                self.draining_slots -= 1
            else:
                del self.leaving[next(iter(self.leaving))]
        self.peak_units = max(self.peak_units, units)
        return units <= self.num_slots

    def _post_read(self, step: int) -> Transfer:
        if step in self.transfers:
            raise WrongActionError("its write is under way: wait for it before reading")
        self.reads += 1
        self.clock.compute(self.costs.post)
        return self.clock.post(self.costs.read, reading=True)


def _announced(announcing: Record | Restore) -> Action:
    """Return the action that must follow an action with such a flag."""
    if isinstance(announcing, Record):
        return PullBack(announcing.start, announcing.stop)
    return Discard(announcing.step, Tier.MEMORY)


def _listed(values: Iterable[Any]) -> str:
    """Return the first five values, in order, as text."""
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:5])) + (", …" if len(ordered) > 5 else "")
