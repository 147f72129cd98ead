"""Where a schedule may have to go on from: the middle of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ResumePoint"]


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What is left of a run that was interrupted, or that has lost some of what it had kept.

    No transfer is under way, and no tape is kept. All steps are multiples of the schedule's
    `leaf_steps`, but for the end of the run. The initial state is among those kept, in the file or
    in a slot, unless none is: then the live state is at step 0.
    """

    in_file: Sequence[int]
    """Steps of the states in the file, in ascending order."""
    live: int | None
    """Where the live state is, if the forward sweep is to go on: all kept states are at or before
    it. None in the reverse sweep, or if the forward sweep is to go on from the last kept state."""
    reversed_to: int | None = None
    """Where the adjoint is, if the reverse sweep is to go on. All kept states are before it."""
    in_memory: Sequence[int] = ()
    """Steps of the states in slots, which stay there. A state may be in the file as well."""
