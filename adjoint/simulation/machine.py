"""The simulated machine that `adjoint.replay` plays actions on: what it holds, and its clock."""

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
    Prefetch,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
    Wait,
)
from adjoint.schedules.clock import Transfer, VirtualClock
from adjoint.schedules.costs import Costs

__all__ = ["Limits", "Machine", "WrongActionError"]


class WrongActionError(Exception):
    """What is wrong with the action that is being played."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stream of actions must keep to; None is no limit."""

    num_steps: int | None = None
    num_slots: int | None = None
    file_states: tuple[int, ...] = ()
    """The most snapshots in the file, and in each tier below it. Tiers not given have no limit."""
    tape_slots: int = 0
    """Slots that each tape beyond one takes."""


class Machine:
    """What the simulated machine holds, and what it has done so far."""

    def __init__(self, costs: Costs, limits: Limits) -> None:
        self.costs = costs
        self.num_steps = limits.num_steps
        self.num_slots = math.inf if limits.num_slots is None else limits.num_slots
        self.tape_slots = limits.tape_slots
        self.clock = VirtualClock(costs)
        self.live: int | None = 0
        self.adjoint: int | None = None
        self.tapes: set[tuple[int, int]] = set()
        self.slots: set[int] = set()
        """Snapshots that slots hold, or will once they are read."""
        self.tiers: list[set[int]] = [set() for _ in range(1 + len(costs.deeper))]
        """Snapshots that the file, and each tier below it, hold, or will once they are written."""
        self.capacities = [*limits.file_states, *([math.inf] * len(self.tiers))]
        self.transfers: dict[int, Transfer] = {}
        """Those not waited for, in the order in which they were posted."""
        self.given_up = 0
        """Slots that no snapshot has any more, but a write."""
        self._announcing: Record | Restore | None = None
        """The action before, if a flag of it says what the next one is."""
        self.advances = self.leaf_advances = self.writes = self.reads = 0
        self.peak_slots = self.peak_tapes = self.peak_units = 0
        self.peak_tier_states = [0 for _ in self.tiers]
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
        """Raise `WrongActionError` if anything is missing or left over."""
        if self._announcing is not None:
            raise WrongActionError(f"{self._announcing} announced {_announced(self._announcing)}")
        if self.num_steps is None or self.adjoint is None:
            raise WrongActionError("there was no Turn: no step is reversed")
        if self.adjoint != 0:
            raise WrongActionError(f"the steps [0, {self.adjoint}) are not reversed")
        places = {"slots": self.slots, "tapes": self.tapes, "the file": self.tiers[0]}
        places |= {f"tier {k + 2}": states for k, states in enumerate(self.tiers[1:])}
        for place, left in places.items():
            if left:
                raise WrongActionError(
                    f"left over in {place}: {_listed(left)}; give up what you keep"
                )

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
            raise WrongActionError(f"the adjoint is at {self.adjoint}: no use for this tape")
        if (start, stop) in self.tapes:
            raise WrongActionError("this tape is kept already")
        if not reach_stop:
            self._announcing = action
        self.clock.compute(self.costs.recording(stop - start, reach_stop=reach_stop))
        self.leaf_advances += stop - start if reach_stop else stop - start - 1
        self.tapes.add((start, stop))
        self.peak_tapes = max(self.peak_tapes, len(self.tapes))
        self.peak_units = max(self.peak_units, self._units())
        if self._units() > self.num_slots:
            raise WrongActionError(
                f"no room for this tape: slots hold {_listed(self.slots)}, "
                f"and {len(self.tapes) - 1} tapes are kept"
            )
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
            raise WrongActionError("there is no tape of just these steps: record them")
        self.tapes.remove(tape)
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
            self.clock.wait(self._post_read(step, self._fastest_tier(step)))
        if not action.keep:
            self._announcing = action
        self.live = step

    def _offload(self, action: Offload) -> None:
        step, states = action.step, self._tier(action.tier)
        if step not in self.slots:
            raise WrongActionError("no slot has this snapshot")
        if step in states:
            raise WrongActionError(f"{_called(action.tier)} has this snapshot already")
        if step in self.transfers:
            raise WrongActionError("another transfer of it is under way: wait for it")
        if len(states) >= self.capacities[action.tier - 1]:
            raise WrongActionError(f"{_called(action.tier)} is full: it has {_listed(states)}")
        states.add(step)
        self.peak_tier_states[action.tier - 1] = max(
            self.peak_tier_states[action.tier - 1], len(states)
        )
        self.writes += 1
        self.clock.compute(self.costs.post)
        seconds, _read = self.costs.transfers(action.tier)
        self.transfers[step] = self.clock.post(seconds, reading=False)

    def _prefetch(self, action: Prefetch) -> None:
        if action.step not in self._tier(action.tier):
            raise WrongActionError(f"{_called(action.tier)} does not have this snapshot")
        self._take_slot(action.step)
        self.transfers[action.step] = self._post_read(action.step, action.tier)

    def _wait(self, action: Wait) -> None:
        transfer = self.transfers.pop(action.step, None)
        if transfer is None:
            raise WrongActionError("no transfer of this snapshot is under way")
        self.clock.wait(transfer)
        self.given_up -= transfer.given_up

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
        self.given_up -= transfer.given_up
        del self.transfers[step]
        self._tier(action.tier).remove(step)

    def _discard(self, action: Discard) -> None:
        step = action.step
        transfer = self.transfers.get(step)
        if action.tier != Tier.MEMORY:
            states = self._tier(action.tier)
            if step not in states:
                raise WrongActionError(f"{_called(action.tier)} does not have this snapshot")
            if transfer is not None:
                raise WrongActionError("its transfer is under way: wait for it, or cancel it")
            states.remove(step)
            return
        if step not in self.slots:
            raise WrongActionError("no slot has this snapshot")
        if transfer is not None and transfer.reading:
            raise WrongActionError("it is still being read: wait for it")
        self.slots.remove(step)
        if transfer is not None and not transfer.given_up:
            transfer.given_up = True
            self.given_up += 1

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

    def _tier(self, tier: int) -> set[int]:
        if not 1 <= tier <= len(self.tiers):
            raise WrongActionError(f"there is no tier {tier}: there are {len(self.tiers)}")
        return self.tiers[tier - 1]

    def _fastest_tier(self, step: int) -> int:
        for tier, states in enumerate(self.tiers, start=1):
            if step in states:
                return tier
        raise WrongActionError("no slot has this snapshot, nor has the file")

    def _units(self) -> int:
        """Return how many slots are in use, every tape but one counted as the slots it takes."""
        kept_tapes = max(0, len(self.tapes) - 1)
        return len(self.slots) + self.given_up + self.tape_slots * kept_tapes

    def _take_slot(self, step: int) -> None:
        if step in self.slots:
            raise WrongActionError("a slot has this snapshot already")
        if self._units() >= self.num_slots:
            if not self.given_up:
                raise WrongActionError(f"no slot is free: they hold {_listed(self.slots)}")
            oldest = next(t for t in self.transfers.values() if t.given_up)
            self.clock.wait(oldest)
            oldest.given_up = False
            self.given_up -= 1
        self.slots.add(step)
        self.peak_slots = max(self.peak_slots, len(self.slots) + self.given_up)
        self.peak_units = max(self.peak_units, self._units())

    def _post_read(self, step: int, tier: int) -> Transfer:
        if step in self.transfers:
            raise WrongActionError("its write is under way: wait for it before reading")
        self.reads += 1
        self.clock.compute(self.costs.post)
        return self.clock.post(self.costs.transfers(tier)[1], reading=True)


def _announced(announcing: Record | Restore) -> Action:
    """Return the action that must follow."""
    if isinstance(announcing, Record):
        return PullBack(announcing.start, announcing.stop)
    return Discard(announcing.step, Tier.MEMORY)


def _called(tier: int) -> str:
    return "the file" if tier == Tier.FILE else f"tier {tier}"


def _listed(values: Iterable[Any]) -> str:
    """Return the first few of some values, in order."""
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:5])) + (", …" if len(ordered) > 5 else "")
