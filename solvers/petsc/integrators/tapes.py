"""The tape of an integrator's steps: its vectors, and the order in which they were taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from adjoint.steppers import Arrays

__all__ = ["Stages", "Tape"]

Stages = list[NDArray[Any]]
"""Memory of the stages of one step."""


@dataclass(slots=True)
class Tape:
    """What `record` keeps of its steps."""

    befores: list[Arrays] = field(default_factory=list)
    """The state before each step."""
    stages: list[Stages] = field(default_factory=list)
    """The stages of each step."""
    scratch: list[Arrays] = field(default_factory=list)
    """Scratch memory in use, in the order in which it was taken."""

    @classmethod
    def of(
        cls,
        pieces: Sequence[Arrays],
        names: Sequence[str],
        steps: int,
        num_stages: int,
        next_state: Callable[[Arrays, Stages], Arrays] | None,
    ) -> "Tape":
        """Return the tape of so many steps whose scratch memory is `pieces`, first state included.

        `next_state` returns the state after a step; without it, a state follows upon the stages of
        each step but the last.
        """
        vectors = iter([piece["x"] for piece in pieces])
        tape = cls(scratch=list(pieces))
        before: Arrays = {name: next(vectors) for name in names}
        for left in reversed(range(steps)):
            stages = [next(vectors) for _ in range(num_stages)]
            tape.befores.append(before)
            tape.stages.append(stages)
            if next_state is not None:
                before = next_state(before, stages)
            elif left:
                before = {name: next(vectors) for name in names}
        return tape
