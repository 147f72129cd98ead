"""The vectors that a tape is made of, from memory that the driver may lend."""

from typing import Any

from numpy.typing import NDArray

from adjoint.steppers import Arrays, Scratch, aligned_zeros

__all__ = ["TapeVectors", "vector_memory"]


def vector_memory(size: int) -> Scratch[Arrays]:
    """Return memory for tapes of vectors that have `size` entries on this rank."""
    return Scratch(lambda: {"x": aligned_zeros(size)})


class TapeVectors:
    """Takes the vectors of one tape from the memory of a stepper, and gives all of them back."""

    def __init__(self, memory: Scratch[Arrays]) -> None:
        self._memory = memory
        self._taken: list[Arrays] = []

    def take(self) -> NDArray[Any]:
        """Return a vector with arbitrary values."""
        self._taken += self._memory.take(1)
        return self._taken[-1]["x"]

    def give_back(self) -> None:
        """Give back all vectors, last in, first out."""
        self._memory.give_back(self._taken)
