"""The tape of an integrator's steps: the state before each of them, and its stages."""

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from adjoint.steppers import Arrays, Scratch
from solvers.petsc.tape_vectors import TapeVectors

__all__ = ["Stages", "Tape"]

Stages = list[NDArray[Any]]
"""Memory of the stages of one step."""


class Tape(TapeVectors):
    """What `record` keeps of its steps."""

    def __init__(self, memory: Scratch[Arrays], filled: Iterable[Arrays] = ()) -> None:
        super().__init__(memory, filled)
        self.steps: list[tuple[Arrays, Stages]] = []
        """The state before each step, and its stages."""

    def state(self, names: Iterable[str]) -> Arrays:
        """Return memory for a state."""
        return {name: self.take() for name in names}

    def stages(self, count: int) -> Stages:
        """Return memory for the stages of a step."""
        return [self.take() for _ in range(count)]

    def find_steps(
        self,
        count: int,
        names: Iterable[str],
        num_stages: int,
        next_state: Callable[[Arrays, Stages], Arrays] | None,
    ) -> None:
        """Find the steps of a tape that was recorded before, from its vectors alone.

        `next_state` returns the state after a step; without it, the tape has the states.
        """
        before = self.state(names)
        for left in reversed(range(count)):
            stages = self.stages(num_stages)
            self.steps.append((before, stages))
            if next_state is not None:
                before = next_state(before, stages)
            elif left:
                before = self.state(names)
