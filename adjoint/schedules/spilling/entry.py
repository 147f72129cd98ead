"""One entry of a spilling stack: a kept state, or a kept tape."""

from operator import attrgetter

from adjoint.schedules.clock import Transfer
from adjoint.schedules.spilling.spacing import EvenSteps

__all__ = ["Entry", "Place", "by_leaf"]

Place = tuple[EvenSteps, int]
"""A state in the file, as the k-th of some evenly spaced leaves."""


class Entry:
    """The state before a leaf, or the tape of the leaf."""

    __slots__ = (
        "above",
        "below",
        "in_file",
        "in_slot",
        "is_tape",
        "leaf",
        "locked",
        "pending_discard",
        "pinned",
        "place",
        "transfer",
    )

    def __init__(self, leaf: int, locked: int, below: float, *, is_tape: bool = False) -> None:
        self.leaf = leaf
        self.is_tape = is_tape
        self.in_slot = True
        self.in_file = False
        self.pinned = False
        """Being read ahead, or read and not used yet."""
        self.pending_discard = False
        """Not needed any more, but its transfer is under way: the tape of its leaf is kept."""
        self.transfer: Transfer | None = None
        """The transfer that the stream has not waited for."""
        self.place: Place | None = None
        """Its place in the file; None if it was never sent there."""
        self.locked = locked
        """Slots that are taken, below it, by what is not in the file."""
        self.below = below
        """Seconds that reversing all that is below it takes, up to a constant."""
        self.above = below
        """`below`, and the seconds of its own segment, which ends where the next entry begins."""

    @property
    def is_resident(self) -> bool:
        """Whether its slot has it now, and not only once it is read."""
        return self.in_slot and not self.pinned


by_leaf = attrgetter("leaf")
