"""The text that character_model.py learns: English prose that every Python has with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Text"]

HELD_OUT = 0.05
"""The share of the text, at its end, that nothing is learned from."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters as numbers, and back."""

    alphabet: str
    learned: NDArray[np.int64]
    held_out: NDArray[np.int64]

    @classmethod
    def load(cls) -> Self:
        """Return the language reference as ``help()`` shows it, every paragraph once."""
        paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
        text = "\n\n".join(dict.fromkeys(paragraphs))
        alphabet = "".join(sorted(set(text)))
        codes = np.array([alphabet.index(character) for character in text])
        end = round((1 - HELD_OUT) * len(codes))
        return cls(alphabet, codes[:end], codes[end:])

    @property
    def size(self) -> int:
        """How many different characters there are."""
        return len(self.alphabet)

    def decode(self, codes: list[int]) -> str:
        """Return the characters."""
        return "".join(self.alphabet[code] for code in codes)

    def passages(
        self, length: int, count: int, generator: np.random.Generator
    ) -> tuple[Callable[[int, int], NDArray[Any]], NDArray[np.int64]]:
        """Return inputs and targets: passages from random places, `length` characters each.

        Inputs are a function of the range of steps, one row of zeros and a one for each character;
        targets are the characters that follow.
        """
        most = len(self.learned) - length - 1
        starts = generator.integers(0, most, count)
        codes = np.stack([self.learned[start : start + length + 1] for start in starts], axis=1)
        return self.one_hot(codes[:-1]), codes[1:]

    def one_hot(self, codes: NDArray[np.int64]) -> Callable[[int, int], NDArray[Any]]:
        """Return a function that gives rows of ``(steps, passages, size)``."""
        units = np.eye(self.size, dtype=np.float32)
        return lambda start, stop: units[codes[start:stop]]
