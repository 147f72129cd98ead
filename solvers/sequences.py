"""Sequences that are read a few steps at a time, and batches of sequences of unequal length.

A recurrent model reads row ``k`` of its inputs and targets in step ``k``. A run of 10^5 steps
through `adjoint` holds the states of a few hundred of them, so it would be a pity if the data had
to be held whole. `Rows` takes what people have, and reads from it the steps of one leaf and no
others:

- an array, a memory map, an HDF5 dataset: anything with `shape`, `dtype` and slicing, whose first
  axis is the step;
- a function ``(start, stop) -> rows`` for data that is made or decoded as it is needed. A replay
  reads the same steps again, so the function has to give the same rows again.

*Unequal lengths.* A batch is as many steps long as its longest sequence; `Lengths` says where the
others end. At step ``k`` the sequences with ``k < length`` are alive. After its end a sequence's
state is carried along unchanged, and its losses are not counted: so the final state is that at
each sequence's own last step, and what the padding holds has no effect.

*Ranks* may have batches of different length, but step together: `common_num_steps` is how many
steps they all take. Nothing is read for a step at which no sequence of this rank is alive, so data
need not be padded for that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError, StepperError
from adjoint.parallel import communicator

__all__ = ["Lengths", "RowSink", "RowSource", "Rows", "Sliceable", "common_num_steps"]


class Sliceable(Protocol):
    """What has a shape and a dtype and can be sliced: an array, a memory map, a dataset, a tensor.

    The first axis is the step. Only slices along it are taken.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, steps: slice, /) -> Any: ...


class RowSink(Sliceable, Protocol):
    """What rows can be written to as well, a range of steps at a time."""

    def __setitem__(self, steps: slice, rows: Any, /) -> None: ...


RowSource = Sliceable | Callable[[int, int], Any]
"""Where rows come from: something sliceable, or a function of the range of steps."""


class Rows:
    """Rows of a sequence, read a range of steps at a time. Nothing is kept.

    Parameters
    ----------
    source
        Something sliceable, first axis the step; or a function ``(start, stop) -> rows``, where
        ``rows`` has a shape, of which the first entry is ``stop - start``, and a dtype. It is
        called again for steps that are replayed, and must give the same again.
    name
        What messages call it: "inputs", "targets".

    Raises
    ------
    ArgumentError
        The source is neither.
    """

    def __init__(self, source: RowSource, name: str) -> None:
        self.name = name
        self._row: tuple[tuple[int, ...], Any] | None = None
        """Shape and dtype of one row; of a function, known once it has been called."""
        self._end: int | None = None
        """How many rows there are; of a function it is not known."""
        if hasattr(source, "shape") and hasattr(source, "dtype"):
            sliceable: Any = source
            if len(sliceable.shape) == 0:
                raise ArgumentError(f"{name} has no axis: the first axis must be the step")
            self._end = int(sliceable.shape[0])
            self._row = tuple(sliceable.shape[1:]), sliceable.dtype
            self._take: Callable[[int, int], Any] = lambda start, stop: sliceable[start:stop]
        elif callable(source):
            self._take = source
        else:
            raise ArgumentError(
                f"{name} is of type {type(source).__name__}: give an array whose first axis is the "
                "step (or a memory map, an HDF5 dataset), or a function (start, stop) -> rows"
            )

    @property
    def num_rows(self) -> int | None:
        """How many steps there are rows for; None where only a function knows."""
        return self._end

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """Shape of one row; None for a function that has not been called yet."""
        return None if self._row is None else self._row[0]

    @property
    def dtype(self) -> Any:
        """Type of the rows' entries; None for a function that has not been called yet."""
        return None if self._row is None else self._row[1]

    def read(self, start: int, stop: int) -> Any:
        """Return the rows of steps ``[start, stop)``: of an array a view, do not write to it.

        Raises
        ------
        ArgumentError
            There are too few rows. The message names the first step without one.
        StepperError
            A function gave something else than so many rows, or rows of another shape or dtype
            than before. The message names the steps.
        """
        if self._end is not None and stop > self._end:
            raise ArgumentError(
                f"{self.name} has {self._end} rows: there is none for step {max(start, self._end)}"
            )
        rows = self._take(start, stop)
        if not (hasattr(rows, "shape") and hasattr(rows, "dtype")):
            raise StepperError(
                f"{self.name} for the steps [{start}, {stop}) is of type {type(rows).__name__}: "
                "return an array"
            )
        shape = tuple(rows.shape)
        if not shape or shape[0] != stop - start:
            raise StepperError(
                f"{self.name} for the steps [{start}, {stop}) has shape {shape}: its first axis "
                f"must be those {stop - start} steps"
            )
        if self._row is None:
            self._row = shape[1:], rows.dtype
        if (shape[1:], rows.dtype) != self._row:
            raise StepperError(
                f"{self.name} for the steps [{start}, {stop}) has rows of shape {shape[1:]} and "
                f"dtype {rows.dtype}; before, rows had {self._row[0]} and {self._row[1]}"
            )
        return rows


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many steps each sequence of a batch has."""

    steps: NDArray[np.int64]
    """One entry for each sequence."""
    shortest: int
    """Until here all sequences are alive."""
    longest: int
    """From here on none is."""

    @classmethod
    def of(cls, lengths: ArrayLike, batch: int) -> "Lengths":
        """Check the lengths of `batch` sequences, and copy them.

        Raises
        ------
        ArgumentError
            They are not integers, not so many, or one is negative.
        """
        given = np.asarray(lengths)
        if given.shape != (batch,):
            raise ArgumentError(
                f"lengths has shape {given.shape}: there must be one for each of {batch} sequences"
            )
        if given.dtype.kind not in "iu":
            raise ArgumentError(f"lengths must be integers, not {given.dtype}")
        if batch == 0:
            raise ArgumentError("the batch is empty: there must be at least one sequence")
        if given.min() < 0:
            raise ArgumentError(
                f"sequence {int(given.argmin())} has a length of {given.min()} steps"
            )
        return cls(given.astype(np.int64), int(given.min()), int(given.max()))

    def alive(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which sequences are alive at each step: shape ``(stop - start, batch)``."""
        return np.arange(start, stop)[:, None] < self.steps

    def check_end(self, num_steps: int) -> None:
        """Raise `ArgumentError` if a sequence has not ended after so many steps."""
        if self.longest > num_steps:
            raise ArgumentError(
                f"sequence {int(self.steps.argmax())} has {self.longest} steps, but only "
                f"{num_steps} are taken: give the driver at least as many as the longest length"
            )


def common_num_steps(num_steps: int, comm: Any = None) -> int:
    """Return the most steps that any rank has: what all of them take. Collective on `comm`."""
    ranks = communicator(comm)
    try:
        return max(ranks.gather(num_steps))
    finally:
        ranks.free()
