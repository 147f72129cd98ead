"""Blocks of steps that are taken together, and the memory of their tapes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays, Scratch, aligned_zeros
from solvers.recurrent.layer import Layer
from solvers.sequences import Lengths, RowSink

__all__ = ["Block", "block_ranges", "clear_rows", "tape_entries", "tape_scratch", "tape_shapes"]


class Block(NamedTuple):
    """Steps taken together."""

    start: int
    steps: int
    """Number of steps at which a sequence is alive; later steps of the block do nothing."""
    alive: NDArray[np.bool_] | None
    """Mask of the sequences alive at each step; None if all are."""
    tape: Arrays

    @classmethod
    def of(cls, start: int, stop: int, tape: Arrays, lengths: Lengths | None) -> "Block":
        """Return the block of these steps, given the lengths of the sequences if they differ."""
        if lengths is None or stop <= lengths.shortest:
            return cls(start, stop - start, None, tape)
        stop = max(start, min(stop, lengths.longest))
        return cls(start, stop - start, lengths.alive(start, stop), tape)


def block_ranges(start: int, stop: int, leaf_steps: int) -> Iterator[tuple[int, int]]:
    """Divide a range of steps at the multiples of `leaf_steps`."""
    while start < stop:
        end = min(stop, (start // leaf_steps + 1) * leaf_steps)
        yield start, end
        start = end


def tape_shapes(
    layers: Sequence[Layer], row: tuple[int, int], steps: int
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a block of so many steps, of inputs of shape `row`."""
    shapes: dict[str, tuple[int, ...]] = {"inputs": (steps, *row)}
    for layer in layers:
        shapes |= layer.tape_shapes(steps)
    return shapes


def tape_entries(layers: Sequence[Layer], row: tuple[int, int], steps: int) -> int:
    """Return how many numbers these arrays hold together."""
    return sum(math.prod(shape) for shape in tape_shapes(layers, row, steps).values())


def tape_scratch(
    layers: Sequence[Layer], row: tuple[int, int], steps: int, dtype: np.dtype[Any]
) -> Scratch[Arrays]:
    """Return the memory that tapes of blocks of so many steps are taken from."""
    shapes = tape_shapes(layers, row, steps)

    def make() -> Arrays:
        return {name: aligned_zeros(shape, dtype) for name, shape in shapes.items()}

    return Scratch(make)


def clear_rows(gradient: RowSink, leaf_steps: int) -> None:
    """Zero a gradient with a row per step, a block at a time: it may be on disk."""
    for start, stop in block_ranges(0, gradient.shape[0], leaf_steps):
        gradient[start:stop] = np.zeros((stop - start, *gradient.shape[1:]), gradient.dtype)
