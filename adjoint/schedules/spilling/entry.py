"""One entry of a spilling stack: a kept state, or a kept tape."""

from operator import attrgetter

from adjoint.schedules.clock import Transfer
from adjoint.schedules.spilling.spacing import EvenSteps

__all__ = ["Entry", "by_leaf"]


class Entry:
    """The state before a leaf, or the tape of the leaf.

    `locked` are the slots that hold, below it, what is not in the file. `below` is what reversing
    all that is below takes, in seconds, but for a constant.
    """

    __slots__ = (
        "above",
        "below",
        "held",
        "in_file",
        "in_slot",
        "is_tape",
        "leaf",
        "locked",
        "pinned",
        "place",
        "spent",
        "transfer",
    )

    def __init__(self, leaf: int, locked: int, below: float, *, is_tape: bool = False) -> None:
        self.leaf = leaf
        self.is_tape = is_tape
        self.in_slot = True
        self.in_file = False
        self.held = False
        """In the file, and to keep its slot all the same."""
        self.pinned = False
        """Being read ahead, or read and not used yet."""
        self.spent = False
        """Needed no more, but its transfer is under way: the tape of its leaf is kept."""
        self.transfer: Transfer | None = None
        """What the stream has not waited for."""
        self.place: tuple[EvenSteps, int] | None = None
        """Which state of which comb it is in the file; None if it was never sent there."""
        self.locked = locked
        self.below = below
        self.above = below
        """`below`, with its own piece: up to where the next one above begins."""

    @property
    def locks(self) -> bool:
        """Whether it locks its slot: a state that is in the file may give it up."""
        return self.held or not self.in_file

    @property
    def is_resident(self) -> bool:
        """Whether a slot has it, and not only once it is read."""
        return self.in_slot and not self.pinned


by_leaf = attrgetter("leaf")
