"""The actions that schedules consist of.

A schedule is an iterable of these actions; the sweep carries them out on a stepper and a store,
and `adjoint.replay` plays them on a simulated machine. State ``k`` is the state *before* step
``k``; step ranges are half-open, ``[start, stop)``.

There is one *live* state, the stepper's own. A *slot* is a place in memory, besides the live
state, that holds one snapshot; the *file* holds further snapshots. A snapshot is identified by its
step, and may be in a slot, in the file, or in both.

======================= ===============================================================
`Advance(start, stop)`  Take the live state from ``start`` to ``stop``; keep no tape.
`Record(start, stop)`   The same, keeping the tape of the steps. With
                        ``reach_stop=False`` the next action is the `PullBack` of this
                        tape: the live state is undefined in between, and the last step
                        need not be taken.
`Turn()`                The live state is ``num_steps``: initialise the adjoint with the
                        derivative of the terminal cost. Once per sweep.
`PullBack(start, stop)` Take the adjoint from ``stop`` to ``start``, consuming the tape
                        of these steps, in the file as well. The live state is undefined
                        afterwards.
`Store(step)`           Put the live state in a free slot; it stays live.
`Restore(step)`         Make snapshot ``step`` the live state, from its slot or, if it
                        is in none, straight from the file, waiting for the read. With
                        ``keep=False`` the next action is the `Discard` of its slot: the
                        memory of the slot can become that of the live state, without a
                        copy.
`Offload(step)`         Post the write of snapshot ``step`` from its slot to the file.
`Prefetch(step)`        Take a free slot and post the read of snapshot ``step`` into it.
`Wait(step)`            Wait for the transfer of snapshot ``step``.
`Cancel(step)`          Cancel the write of snapshot ``step``, or wait for it if it has
                        begun; the snapshot is then in its slot and not in the file.
`Discard(step, tier)`   Discard snapshot ``step`` in its slot or in the file. A slot that
                        is discarded while being written from is free once that is done.
`OffloadTape(i, j)`     Post the write of the tape of ``[i, j)`` to the file. Its memory is
                        free once that is done.
`PrefetchTape(i, j)`    Take memory for the tape of ``[i, j)`` and post its read from the
                        file.
`RestoreTape(i, j)`     Have the tape of ``[i, j)``, which is in the file, in memory again,
                        waiting for the read, which is posted now if it was not before.
======================= ===============================================================

The first leaf of the reverse sweep is ``Record(i, n), Turn(), PullBack(i, n)``, so the `Advance`
actions are exactly those that the theory of Revolve counts.

The defaults of the two flags are always correct, at the price of a step or a copy.
`adjoint.replay` refuses a flag that the next action contradicts.

These are plain slotted classes, since long sweeps make millions of them and a frozen dataclass
takes four times as long to make. Type checkers treat the fields as final; nothing may write them.
"""

from enum import IntEnum
from typing import Final

__all__ = [
    "Action",
    "Advance",
    "Cancel",
    "Discard",
    "Offload",
    "OffloadTape",
    "Prefetch",
    "PrefetchTape",
    "PullBack",
    "Record",
    "Restore",
    "RestoreTape",
    "Store",
    "Tier",
    "Turn",
    "Wait",
]


class Tier(IntEnum):
    """Where a snapshot is kept."""

    MEMORY = 0
    FILE = 1


class Action:
    """One action of the sweep. Actions are values: equal if their types and fields are."""

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
    """Begin the reverse sweep: initialise the adjoint with the derivative of the terminal cost."""

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
    """Post the write of snapshot `step` from its slot to the file."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step: Final = step


class Prefetch(Action):
    """Take a free slot and post the read of snapshot `step` from the file into it."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step: Final = step


class Wait(Action):
    """Wait for the transfer of snapshot `step`."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step: Final = step


class Cancel(Action):
    """Cancel the write of snapshot `step`, so that only its slot has it.

    If the write has begun, wait for it and discard the snapshot in the file.
    """

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step: Final = step


class Discard(Action):
    """Discard snapshot `step` in its slot or in the file."""

    __slots__ = ("step", "tier")

    def __init__(self, step: int, tier: Tier) -> None:
        self.step: Final = step
        self.tier: Final = tier


class OffloadTape(Action):
    """Post the write of the tape of ``[start, stop)`` to the file: it leaves the memory."""

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start: Final = start
        self.stop: Final = stop


class PrefetchTape(Action):
    """Take memory for the tape of ``[start, stop)`` and post its read from the file."""

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start: Final = start
        self.stop: Final = stop


class RestoreTape(Action):
    """Have the tape of ``[start, stop)``, which is in the file, in memory again.

    Waits for its read, or reads it now.
    """

    __slots__ = ("start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start: Final = start
        self.stop: Final = stop
