"""Sequences read a few steps at a time, and batches of sequences of unequal length.

A recurrent model reads row ``k`` of its inputs and targets in step ``k``. `adjoint` keeps only a
few hundred states of a run of 10^5 steps, so the data need not be in memory either. `Rows` reads
the steps of one leaf at a time, from

- an array, a memory map, an HDF5 dataset: anything with `shape`, `dtype` and slicing, whose first
  axis is the step;
- or a function ``(start, stop) -> rows``, for data generated or decoded on demand. Recomputation
  reads the same steps again, and the function must return the same rows again.

*Unequal lengths.* A batch has as many steps as its longest sequence; `Lengths` holds where the
others end. At step ``k`` the sequences with ``k < length`` are alive. After its end a sequence's
state stays unchanged and its losses are not counted: the final state is that after each sequence's
own last step, and padding has no effect.

*Ranks* may have batches of different lengths, but all take `common_num_steps` steps. Nothing is
read at steps at which no sequence of this rank is alive, so data need not be padded for them.
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
    """An array, a memory map, a dataset or a tensor, whose first axis is the step.

    Only slices along the first axis are taken.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, steps: slice, /) -> Any: ...


class RowSink(Sliceable, Protocol):
    """A `Sliceable` that can also be written, a range of steps at a time."""

    def __setitem__(self, steps: slice, rows: Any, /) -> None: ...


RowSource = Sliceable | Callable[[int, int], Any]
"""A source of rows: sliceable, or a function of the range of steps."""


class Rows:
    """Rows of a sequence, read a range of steps at a time and not kept.

    Parameters
    ----------
    source
        A `Sliceable`, or a function ``(start, stop) -> rows`` that returns an array with
        ``stop - start`` rows. It is called again for recomputed steps, and must return the same
        rows.
    name
        Its name in messages: "inputs", "targets".

    Raises
    ------
    ArgumentError
        The source is neither.
    """

    def __init__(self, source: RowSource, name: str) -> None:
        self.name = name
        self._row: tuple[tuple[int, ...], Any] | None = None
        """Shape and dtype of one row; None for a function that has not been called yet."""
        self.num_rows: int | None = None
        """Number of rows; None for a function."""
        self.array: Any = None
        """The array that the rows are of; None for a function."""
        if hasattr(source, "shape") and hasattr(source, "dtype"):
            sliceable: Any = source
            if len(sliceable.shape) == 0:
                raise ArgumentError(f"{name} has no axes: its first axis must be the step")
            self.array = sliceable
            self.num_rows = int(sliceable.shape[0])
            self._row = tuple(sliceable.shape[1:]), sliceable.dtype
            self._take: Callable[[int, int], Any] = lambda start, stop: sliceable[start:stop]
        elif callable(source):
            self._take = source
        else:
            raise ArgumentError(
                f"{name} is of type {type(source).__name__}: give an array whose first axis is the "
                "step (or a memory map, an HDF5 dataset), or a function (start, stop) -> rows"
            )

    def read(self, start: int, stop: int) -> Any:
        """Return the rows of the steps ``[start, stop)``, read-only: of an array they are a view.

        Raises
        ------
        ArgumentError
            There are too few rows. The message names the first step without one.
        StepperError
            A function returned the wrong number of rows, or rows whose shape or dtype changed.
            The message names the steps.
        """
        if self.num_rows is not None and stop > self.num_rows:
            raise ArgumentError(
                f"{self.name} has {self.num_rows} rows: there is none for step "
                f"{max(start, self.num_rows)}"
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
                f"must have {stop - start} entries, one per step"
            )
        if self._row is None:
            self._row = shape[1:], rows.dtype
        if (shape[1:], rows.dtype) != self._row:
            raise StepperError(
                f"{self.name} for the steps [{start}, {stop}) has rows of shape {shape[1:]} and "
                f"dtype {rows.dtype}; earlier rows had shape {self._row[0]} and dtype "
                f"{self._row[1]}"
            )
        return rows


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of the sequences of a batch, in steps."""

    steps: NDArray[np.int64]
    """Length of each sequence."""
    shortest: int
    """Before this step all sequences are alive."""
    longest: int
    """From this step on none is."""

    @classmethod
    def of(cls, lengths: ArrayLike, batch: int) -> "Lengths":
        """Check the lengths of `batch` sequences, and copy them.

        Raises
        ------
        ArgumentError
            They are not integers, their number is not `batch`, or one is negative.
        """
        given = np.asarray(lengths)
        if given.shape != (batch,):
            raise ArgumentError(
                f"lengths has shape {given.shape}: give one for each of {batch} sequences"
            )
        if given.dtype.kind not in "iu":
            raise ArgumentError(f"lengths must be integers, not {given.dtype}")
        if batch == 0:
            raise ArgumentError("the batch is empty: give at least one sequence")
        if given.min() < 0:
            raise ArgumentError(
                f"sequence {int(given.argmin())} has the negative length {given.min()}"
            )
        return cls(given.astype(np.int64), int(given.min()), int(given.max()))

    def alive(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return a mask of the sequences alive at each step, of shape ``(stop - start, batch)``."""
        return np.arange(start, stop)[:, None] < self.steps

    def check_end(self, num_steps: int) -> None:
        """Raise `ArgumentError` if a sequence is longer than `num_steps`."""
        if self.longest > num_steps:
            raise ArgumentError(
                f"sequence {int(self.steps.argmax())} has {self.longest} steps, but the run takes "
                f"only {num_steps}: run at least as many steps as the longest sequence has"
            )


def common_num_steps(num_steps: int, comm: Any = None) -> int:
    """Return the largest number of steps of any rank, which all ranks take. Collective."""
    ranks = communicator(comm)
    try:
        return max(ranks.gather(num_steps))
    finally:
        ranks.free()
