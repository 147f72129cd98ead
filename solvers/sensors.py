"""Sensors in cells of a grid, read at given times: where, when, and what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["Sensors"]


@dataclass(frozen=True, slots=True)
class Sensors:
    """Sensors in cells of a grid, the same on all ranks.

    Raises
    ------
    ArgumentError
        A standard deviation that is not positive, or readings of another shape.
    """

    cells: Sequence[tuple[int, ...]]
    """The cell of each, one index an axis, in the whole domain."""
    times: Sequence[float]
    """When they are read, in increasing order."""
    observed: NDArray[Any] | None = None
    """Readings, one row a time, one column a sensor. None: nothing was seen, the cost is zero."""
    sigma: float = 1.0
    """Standard deviation of a reading."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise ArgumentError(f"sigma must be positive and finite, not {self.sigma}")
        if self.observed is None:
            return
        wanted = (len(self.times), len(self.cells))
        if self.observed.shape != wanted or not np.isfinite(self.observed).all():
            raise ArgumentError(
                f"observed must be finite, one row for each of {wanted[0]} times and one column "
                f"for each of {wanted[1]} sensors: its shape is {self.observed.shape}"
            )

    def here(self, own: Sequence[slice]) -> tuple[NDArray[np.intp], tuple[NDArray[np.intp], ...]]:
        """Return which sensors are in a rank's cells, and where in its part they are.

        Parameters
        ----------
        own
            The rank's cells, one slice an axis.
        """
        cells = np.array(self.cells, dtype=np.intp).reshape(len(self.cells), len(own))
        first = np.array([part.start for part in own])
        last = np.array([part.stop for part in own])
        mine = np.nonzero(((cells >= first) & (cells < last)).all(axis=1))[0]
        return mine, tuple((cells[mine] - first).T)

    def require_within(self, shape: Sequence[int]) -> None:
        """Raise `ArgumentError` unless every sensor is in a cell of a grid of that shape."""
        for cell in self.cells:
            outside = len(cell) != len(shape) or not all(
                0 <= at < size for at, size in zip(cell, shape, strict=True)
            )
            if outside:
                raise ArgumentError(f"there is no cell {cell} for a sensor: the grid is {shape}")
