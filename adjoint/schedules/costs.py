"""The costs of steps and transfers, by which schedules are planned and priced."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adjoint.errors import ArgumentError

__all__ = ["Costs"]


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of steps and transfers, in seconds or any other unit of time.

    ``Costs(advance=u_f, pull_back=u_b, write=w, read=r)`` is the model of the theory, in which
    `u_b` is the whole time to reverse a step from its own state. If a step must be taken again for
    its tape, ``Costs(advance=u_f, record=u_t, unreached=u_f, pull_back=u_a, ...)`` is the same with
    ``u_b = u_f + u_t + u_a``, and includes what a kept tape saves.

    Raises
    ------
    ArgumentError
        A cost is negative or not finite, or a slowdown is below 1.
    """

    advance: float = 1.0
    """One step forward."""
    record: float = 0.0
    """Keeping the tape of one step, beyond advancing over it."""
    unreached: float = 0.0
    """The last step of a `Record`, beyond `record`, if its end is not needed.

    0 if the tape of a step is its initial state; `advance` if the step must be taken to get its
    tape."""
    pull_back: float = 1.0
    """One step of the adjoint."""
    write: float = 0.0
    """Writing one state to the file."""
    read: float = 0.0
    """Reading one state from the file."""
    piece_write: float = 0.0
    """Writing a piece of a tape to the file (`adjoint.Stepper`)."""
    piece_read: float = 0.0
    """Reading a piece of a tape from the file."""
    post: float = 0.0
    """Posting a transfer: time for which the processor is busy."""
    store: float = 0.0
    """A `Store`: a copy, or what a step out of place takes beyond one in place."""
    restore: float = 0.0
    """A `Restore` from a slot that is kept; without `keep` it is free."""
    driver_overhead: float = 0.0
    """The driver's own time for the actions that record and pull back a leaf."""
    restart_overhead: float = 0.0
    """The constant part of the time to advance to a leaf, whatever the number of steps.

    In every reversal one advance ends at each leaf that is pulled back at once, but for the last.
    It starts from a kept state, so with memory that is not in cache. A leaf whose tape is kept
    follows upon the one before it."""
    turn: float = 0.0
    """The terminal cost and its derivative."""
    slowdown: float = 1.0
    """Factor by which computing takes longer while a write is under way."""
    read_slowdown: float = 1.0
    """Factor by which computing takes longer while a read is under way."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            least = 1.0 if name.endswith("slowdown") else 0.0
            if not (least <= value < math.inf):
                raise ArgumentError(f"{name} is {value}: it must be finite and at least {least:g}")

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> "Costs":
        """Return the costs in a mapping of names to numbers.

        Missing entries take their defaults and unknown ones are ignored, so that files of other
        versions still load.
        """
        return cls(**{name: float(numbers[name]) for name in cls.__slots__ if name in numbers})

    @property
    def disturbance(self) -> float:
        """Computing time lost to writing one state and reading it back in the background."""
        lost_writing = (1 - 1 / self.slowdown) * self.write
        lost_reading = (1 - 1 / self.read_slowdown) * self.read
        return 2 * self.post + lost_writing + lost_reading

    def recording(self, steps: int, *, reach_stop: bool) -> float:
        """Return the time of a `Record` of a leaf of `steps` steps, with the leaf's overheads."""
        last = self.advance if reach_stop else self.unreached
        overhead = self.driver_overhead + (0.0 if reach_stop else self.restart_overhead)
        return (steps - 1) * self.advance + last + steps * self.record + overhead
