"""The training text of character_model.py: English prose that comes with Python."""

from collections.abc import Callable
from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Text"]

HELD_OUT = 0.05
"""Share of the text, at its end, that is not used for training."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as codes of characters: indices into an alphabet."""

    alphabet: str
    learned: NDArray[np.int64]
    """Codes of the training text."""
    held_out: NDArray[np.int64]
    """Codes of the held-out text."""

    @classmethod
    def load(cls) -> Self:
        """Return the language reference in the form that ``help()`` shows, each paragraph once."""
        paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
        text = "\n\n".join(dict.fromkeys(paragraphs))
        alphabet = "".join(sorted(set(text)))
        codes = np.array([alphabet.index(character) for character in text])
        end = round((1 - HELD_OUT) * len(codes))
        return cls(alphabet, codes[:end], codes[end:])

    @property
    def size(self) -> int:
        """Number of distinct characters."""
        return len(self.alphabet)

    def decode(self, codes: list[int]) -> str:
        """Return the text of some codes."""
        return "".join(self.alphabet[code] for code in codes)

    def passages(
        self, length: int, count: int, generator: np.random.Generator
    ) -> tuple[Callable[[int, int], NDArray[Any]], NDArray[np.int64]]:
        """Return inputs and targets of `count` passages of `length` characters, drawn at random.

        Inputs are a function of a range of steps that returns one-hot rows; targets are the next
        characters.
        """
        starts = generator.integers(0, len(self.learned) - length - 1, count)
        codes = np.stack([self.learned[start : start + length + 1] for start in starts], axis=1)
        return self.one_hot(codes[:-1]), codes[1:]

    def one_hot(self, codes: NDArray[np.int64]) -> Callable[[int, int], NDArray[Any]]:
        """Return a function of a range of steps that returns rows ``(steps, passages, size)``."""
        units = np.eye(self.size, dtype=np.float32)
        return lambda start, stop: units[codes[start:stop]]
