"""Blocks of a recurrent network: the steps that it takes together, and the arrays they take."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers import Arrays, aligned_zeros
from solvers.recurrent.layer import Layer
from solvers.sequences import Lengths, RowSink

__all__ = ["Block", "Blocks", "ShownTapes", "make_tape", "tape_shapes"]


class Block(NamedTuple):
    """Steps taken together."""

    start: int
    steps: int
    """Number of steps at which a sequence is alive; later steps of the block do nothing."""
    alive: NDArray[np.bool_] | None
    """Mask of the sequences alive at each step; None if all are."""
    tape: Arrays


class Blocks:
    """The blocks of a run, which begin at the multiples of `steps`.

    Sequences have the given `lengths`, or are all as long as the run.
    """

    def __init__(self, steps: int, lengths: Lengths | None) -> None:
        self.steps = steps
        self._lengths = lengths

    def ranges(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Divide a range of steps into those of its blocks."""
        while start < stop:
            end = min(stop, (start // self.steps + 1) * self.steps)
            yield start, end
            start = end

    def of(self, start: int, stop: int, tape: Arrays) -> Block:
        """Return the block of these steps, on a tape."""
        lengths = self._lengths
        if lengths is None or stop <= lengths.shortest:
            return Block(start, stop - start, None, tape)
        stop = max(start, min(stop, lengths.longest))
        return Block(start, stop - start, lengths.alive(start, stop), tape)

    def clear(self, rows: RowSink) -> None:
        """Zero the rows of all steps, a block at a time: they may be on disk."""
        for start, stop in self.ranges(0, rows.shape[0]):
            rows[start:stop] = np.zeros((stop - start, *rows.shape[1:]), rows.dtype)


class ShownTapes:
    """The tapes of a network, each of which may be handed over: an item of it is a block's."""

    _blocks: Blocks
    _tapes: dict[tuple[int, int], list[Block]]

    def tape_pieces(self, steps: int) -> int:
        """Return the blocks on a tape."""
        return -(-steps // self._blocks.steps)

    def release_tape(self, start: int, stop: int) -> list[Arrays]:
        """Return the arrays of the blocks of a tape, and forget it."""
        return [block.tape for block in self._tapes.pop((start, stop))]

    def restore_tape(self, start: int, stop: int, pieces: Sequence[Arrays]) -> None:
        """Make arrays the blocks of the tape of these steps."""
        ranges = zip(self._blocks.ranges(start, stop), pieces, strict=True)
        self._tapes[start, stop] = [self._blocks.of(*steps, tape) for steps, tape in ranges]


def tape_shapes(
    layers: Sequence[Layer], row: tuple[int, int], steps: int
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a block of so many steps, whose inputs are such rows."""
    shapes: dict[str, tuple[int, ...]] = {"inputs": (steps, *row)}
    for layer in layers:
        shapes |= layer.tape_shapes(steps)
    return shapes


def make_tape(shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any]) -> Arrays:
    """Allocate the arrays of a block."""
    return {name: aligned_zeros(shape, dtype) for name, shape in shapes.items()}
