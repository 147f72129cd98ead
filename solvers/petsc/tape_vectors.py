"""The vectors that a tape is made of, from memory that the driver may lend."""

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from adjoint.steppers import Arrays, Scratch, aligned_zeros

__all__ = ["TapeVectors", "vector_memory"]


def vector_memory(size: int) -> Scratch[Arrays]:
    """Return memory for tapes of vectors that have `size` entries on this rank."""
    return Scratch(lambda: {"x": aligned_zeros(size)})


class TapeVectors:
    """Takes the vectors of one tape from the memory of a stepper, and gives all of them back.

    Parameters
    ----------
    memory
        Of the stepper.
    filled
        The vectors of a tape that was recorded before, in order: they are taken first.
    """

    def __init__(self, memory: Scratch[Arrays], filled: Iterable[Arrays] = ()) -> None:
        self._memory = memory
        self._filled = iter(filled)
        self._taken: list[Arrays] = []

    def take(self) -> NDArray[Any]:
        """Return the next vector; a new one has arbitrary values."""
        self._taken += [each] if (each := next(self._filled, None)) else self._memory.take(1)
        return self._taken[-1]["x"]

    def hand_over(self) -> list[Arrays]:
        """Return all vectors, in the order in which they were taken."""
        taken, self._taken = self._taken, []
        return taken

    def give_back(self) -> None:
        """Give back all vectors, last in, first out."""
        self._memory.give_back(self._taken)
