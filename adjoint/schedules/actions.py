"""What a schedule may ask for: the vocabulary between schedules, `replay` and the sweep.

A schedule is an iterator of these actions; the sweep carries them out on a stepper and a
store, and `adjoint.replay` plays them on a simulated machine. State ``k`` is the state
*before* step ``k``; step ranges are half-open, ``[start, stop)``.

There is one *live* state, the stepper's own. The *slots* are places in memory, besides the
live state, that hold one snapshot each; the *file* holds further snapshots. A snapshot is
named by its step, and may be in a slot, in the file, or in both. Below the file there may be
slower places still; `Offload`, `Prefetch` and `Cancel` speak of the file unless given another
tier.

======================= ===============================================================
`Advance(start, stop)`  live state ``start`` becomes ``stop``; no tape is kept
`Record(start, stop)`   the same, keeping the tape of the steps. With
                        ``reach_stop=False`` the next action is the `PullBack` of this
                        tape: the live state is undefined in between, and the last step
                        need not be taken.
`Turn()`                live state is ``num_steps``: the adjoint becomes the terminal
                        cost's derivative. Once per sweep.
`PullBack(start, stop)` consumes the tape of ``[start, stop)``: the adjoint goes from
                        ``stop`` to ``start``. The live state is undefined afterwards.
`Store(step)`           the live state ``step`` is put in a free slot, and stays live
`Restore(step)`         snapshot ``step`` becomes the live state, from its slot or, if it
                        has none, straight from the fastest tier that has it (the sweep
                        waits for the read). With ``keep=False`` the next action is the
                        `Discard` of its slot: the slot's memory can become the live
                        state's, and nothing need be copied.
`Offload(step)`         posts the write of snapshot ``step``, from its slot to the file
`Prefetch(step)`        takes a free slot and posts the read of snapshot ``step`` into it
`Wait(step)`            waits for the transfer of snapshot ``step``
`Cancel(step)`          takes back an offload, or waits for it if it has begun; the file then
                        has no snapshot ``step``. The slot keeps it.
`Discard(step, tier)`   gives up snapshot ``step`` in a slot or in the file. A slot given
                        up while its write is under way is free once that is done.
======================= ===============================================================

The first leaf of the reverse sweep is ``Record(i, n), Turn(), PullBack(i, n)``, so the
`Advance` actions are exactly those that the theory of Revolve counts.

The two flags default to what is always right, at the price of a step or a copy: a schedule that
sets neither is played correctly. `adjoint.replay` refuses a flag that what follows contradicts.

These are plain slotted classes, not frozen dataclasses: long sweeps make millions of them,
and a frozen dataclass takes four times as long to make. Type checkers hold the fields to be
final; nothing may write them.
"""

from enum import IntEnum
from typing import Final

__all__ = [
    "Action",
    "Advance",
    "Cancel",
    "Discard",
    "Offload",
    "Prefetch",
    "PullBack",
    "Record",
    "Restore",
    "Store",
    "Tier",
    "Turn",
    "Wait",
]


class Tier(IntEnum):
    """Where a snapshot is kept; slower places than the file are the integers from 2 on."""

    MEMORY = 0
    FILE = 1


class Action:
    """One thing for the sweep to do. Actions are values: equal if their type and fields are."""

    __slots__ = ()

    def _fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in type(self).__slots__)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).__slots__)

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._fields()))})"


class Advance(Action):
    """Take the live state from step `start` to step `stop`, keeping no tape."""

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start: Final = start
        self.stop: Final = stop


class Record(Action):
    """Take the live state from step `start` to step `stop`, keeping the tape.

    With ``reach_stop=False`` the next action is the `PullBack` of this tape, and the last step need
    not be taken.
    """

    __slots__ = ("reach_stop", "start", "stop")

    def __init__(self, start: int, stop: int, reach_stop: bool = True) -> None:
        self.start: Final = start
        self.stop: Final = stop
        self.reach_stop: Final = reach_stop

    def __repr__(self) -> str:
        flag = "" if self.reach_stop else ", reach_stop=False"
        return f"Record({self.start!r}, {self.stop!r}{flag})"


class Turn(Action):
    """Begin the reverse sweep: the adjoint becomes the terminal cost's derivative."""

    __slots__ = ()


class PullBack(Action):
    """Take the adjoint from step `stop` to step `start`, consuming the tape of these steps."""

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start: Final = start
        self.stop: Final = stop


class Store(Action):
    """Put the live state, at step `step`, in a free slot."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step: Final = step


class Restore(Action):
    """Make snapshot `step` the live state.

    With ``keep=False`` the next action is the `Discard` of its slot.
    """

    __slots__ = ("keep", "step")

    def __init__(self, step: int, keep: bool = True) -> None:
        self.step: Final = step
        self.keep: Final = keep

    def __repr__(self) -> str:
        return f"Restore({self.step!r}{'' if self.keep else ', keep=False'})"


class Offload(Action):
    """Post the write of snapshot `step` from its slot to a tier."""

    __slots__ = ("step", "tier")

    def __init__(self, step: int, tier: int = Tier.FILE) -> None:
        self.step: Final = step
        self.tier: Final = tier


class Prefetch(Action):
    """Take a free slot and post the read of snapshot `step`, from a tier, into it."""

    __slots__ = ("step", "tier")

    def __init__(self, step: int, tier: int = Tier.FILE) -> None:
        self.step: Final = step
        self.tier: Final = tier


class Wait(Action):
    """Wait for the transfer of snapshot `step`."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step: Final = step


class Cancel(Action):
    """Take back the offload of snapshot `step` to a tier; if it has begun, wait for it first."""

    __slots__ = ("step", "tier")

    def __init__(self, step: int, tier: int = Tier.FILE) -> None:
        self.step: Final = step
        self.tier: Final = tier


class Discard(Action):
    """Give up snapshot `step` in one tier."""

    __slots__ = ("step", "tier")

    def __init__(self, step: int, tier: int) -> None:
        self.step: Final = step
        self.tier: Final = tier
