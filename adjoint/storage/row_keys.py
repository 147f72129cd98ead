"""What a row of the file holds, as one number: the ``step`` of its index entry.

The state at step ``k`` is ``k``. The pieces of the tape of a leaf (`adjoint.Stepper`), whose first
step is ``k``, are negative numbers: a row holds one piece.
"""

__all__ = ["MAX_PIECES", "described", "first_step", "piece_key", "piece_of"]

MAX_PIECES = 1 << 16
"""Pieces of a tape at the most: a few are usual, and steps up to 2^47 leave room for these."""


def piece_key(start: int, piece: int) -> int:
    """Return the number of a piece, counted from 0, of the tape whose first step is `start`."""
    return -1 - (start * MAX_PIECES + piece)


def first_step(key: int) -> int:
    """Return the step of a state, or the first step of the tape that a piece is of."""
    return key if key >= 0 else (-1 - key) // MAX_PIECES


def piece_of(key: int) -> int | None:
    """Return which piece of its tape a row holds, counted from 0; None for a state."""
    return None if key >= 0 else (-1 - key) % MAX_PIECES


def described(key: int) -> str:
    """Return what a row holds, in words."""
    if key >= 0:
        return f"state {key}"
    return f"piece {piece_of(key)} of the tape from step {first_step(key)}"
