"""What things cost: the numbers that schedules are priced with, and planned on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

from adjoint.errors import ArgumentError

__all__ = ["Costs"]


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, or any other unit of time, that things take.

    ``Costs(advance=u_f, pull_back=u_b, write=w, read=r)`` is the model of the theory, in which
    `u_b` is all that reversing a step from its own state takes. ``Costs(advance=u_f, record=u_t,
    unreached=u_f, pull_back=u_a, ...)`` is the same where steps must be taken again to be taped,
    ``u_b = u_f + u_t + u_a``, and tells what a kept tape saves.

    Raises
    ------
    ArgumentError
        A cost that is negative or not finite, or a slowdown below 1.
    """

    advance: float = 1.0
    """One step forward."""
    record: float = 0.0
    """What keeping the tape of one step takes, beyond advancing over it."""
    unreached: float = 0.0
    """What the last step of a `Record` takes, beyond `record`, where its end is not needed.

    Nothing for a stepper whose tape is its states; as much as `advance` for one whose tape comes of
    taking the step."""
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
    driver_overhead: float = 0.0
    """What the driver itself takes for a leaf: the actions that record it and pull it back."""
    restart_overhead: float = 0.0
    """What the advances to a leaf add, however many steps they are.

    In every reversal without kept tapes one advance ends at each leaf but the first, and sets out
    from a state that is kept: so into another block, or from one that was not looked at lately."""
    turn: float = 0.0
    """The terminal cost and its derivative."""
    slowdown: float = 1.0
    """How many times longer computing takes while a write is under way."""
    read_slowdown: float = 1.0
    """How many times longer computing takes while a read is under way."""
    deeper: tuple[tuple[float, float], ...] = ()
    """(write, read) of one state, for each tier below the file."""

    def __post_init__(self) -> None:
        plain = ((name, getattr(self, name)) for name in self.__slots__ if name != "deeper")
        below = (("deeper", seconds) for pair in self.deeper for seconds in pair)
        for name, value in chain(plain, below):
            least = 1.0 if name.endswith("slowdown") else 0.0
            if not (least <= value < math.inf):
                raise ArgumentError(f"{name} is {value}: it must be finite and at least {least:g}")

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> "Costs":
        """Return the costs of a mapping of names to numbers, those of deeper tiers apart.

        What is not told is as by default: a file may be older than a cost.
        """
        known = {field.name for field in fields(cls)} - {"deeper"}
        given: dict[str, Any] = {name: float(numbers[name]) for name in known & set(numbers)}
        return cls(**given)

    @property
    def disturbance(self) -> float:
        """What a state's way to the file and back keeps the processor from computing."""
        lost_writing = (1 - 1 / self.slowdown) * self.write
        lost_reading = (1 - 1 / self.read_slowdown) * self.read
        return 2 * self.post + lost_writing + lost_reading

    def transfers(self, tier: int) -> tuple[float, float]:
        """Return what one state takes to be written to a tier, and to be read from it."""
        return (self.write, self.read) if tier == 1 else self.deeper[tier - 2]

    def recording(self, steps: int, *, reach_stop: bool) -> float:
        """Return what one `Record` of so many steps takes, and what each leaf takes besides."""
        last = self.advance if reach_stop else self.unreached
        besides = self.driver_overhead + self.restart_overhead
        return (steps - 1) * self.advance + last + steps * self.record + besides
