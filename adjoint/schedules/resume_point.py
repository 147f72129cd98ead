"""Where a schedule may have to go on from: the middle of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ResumePoint"]


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What there is of a run that was interrupted, or that has lost what it had kept.

    No state is in a slot. All steps are multiples of the schedule's `leaf_steps`, but for the end
    of the run.
    """

    in_file: Sequence[int]
    """The steps of the states in the file, in ascending order. The first is 0, unless there is
    none: then the live state is at step 0."""
    live: int | None
    """Where the live state is, if the forward sweep is to go on."""
    reversed_to: int | None = None
    """Where the adjoint is, if the reverse sweep is to go on."""
    in_memory: Sequence[int] = ()
    """The steps of the states in slots, in ascending order."""
