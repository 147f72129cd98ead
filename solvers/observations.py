"""Observations in cells of a grid: every few steps (`Gauges`) or at given times (`Sensors`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["Gauges", "Observations", "Sensors"]


class Observations:
    """What `Gauges` and `Sensors` share. All ranks hold the same.

    Raises
    ------
    ArgumentError
        `sigma` is not positive and finite, or `observed` is not finite or has the wrong shape.
    """

    __slots__ = ()

    cells: Sequence[tuple[int, ...]]
    """The cell of each instrument: one index per axis, in the whole domain."""
    observed: NDArray[Any] | None
    """Observed values, one row per sample and one column per instrument. None: nothing was
    observed, and the cost is zero."""
    sigma: float
    """Standard deviation of an observed value, in its unit."""

    def local(self, own: Sequence[slice]) -> tuple[NDArray[np.intp], tuple[NDArray[np.intp], ...]]:
        """Return the instruments in a rank's cells, and their indices in the rank's part.

        Parameters
        ----------
        own
            The rank's cells in the whole domain, one slice per axis.

        Returns
        -------
        mine
            Positions in `cells` of the instruments in these cells, in increasing order.
        places
            Their indices in an array over the rank's cells, one array per axis.
        """
        cells = np.array(self.cells, dtype=np.intp).reshape(len(self.cells), len(own))
        first = np.array([part.start for part in own])
        last = np.array([part.stop for part in own])
        mine = np.nonzero(((cells >= first) & (cells < last)).all(axis=1))[0]
        return mine, tuple((cells[mine] - first).T)

    def require_within(self, shape: Sequence[int]) -> None:
        """Raise `ArgumentError` unless every cell is in a grid of the given shape."""
        for cell in self.cells:
            outside = len(cell) != len(shape) or not all(
                0 <= at < size for at, size in zip(cell, shape, strict=True)
            )
            if outside:
                raise ArgumentError(
                    f"{type(self).__name__} has the cell {tuple(cell)}, which is outside the grid "
                    f"of {' x '.join(map(str, shape))} cells"
                )

    def _check(self, num_samples: int | None = None) -> None:
        """Refuse values out of range; the number of samples is checked if it is known."""
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise ArgumentError(f"sigma must be positive and finite, not {self.sigma}")
        if self.observed is None:
            return
        shape, rows = self.observed.shape, "any number of" if num_samples is None else num_samples
        if len(shape) != 2 or shape[1] != len(self.cells) or num_samples not in {None, shape[0]}:
            raise ArgumentError(
                f"observed has shape {shape}; it must have {rows} rows, one per sample, and "
                f"{len(self.cells)} columns, one per cell"
            )
        if not np.isfinite(self.observed).all():
            raise ArgumentError("observed must be finite: leave out instruments that failed")


@dataclass(frozen=True, slots=True)
class Gauges(Observations):
    """Tide gauges, read every few steps.

    Raises
    ------
    ArgumentError
        `every` is less than one, or as for `Observations`.
    """

    cells: Sequence[tuple[int, ...]]
    """Row and column of each gauge in the whole domain."""
    observed: NDArray[Any] | None = None
    """Water levels in metres, one row per sample and one column per gauge. None: nothing was
    observed, and the cost is zero."""
    every: int = 1
    """Steps from one sample to the next: sample ``s`` is the state at step ``s * every``."""
    sigma: float = 1.0
    """Standard deviation of an observed level, in metres."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ArgumentError(f"every must be at least one step, not {self.every}")
        self._check()

    def num_samples(self, num_steps: int) -> int:
        """Return the number of samples taken before step `num_steps`."""
        return -(-num_steps // self.every)

    def require_samples(self, num_steps: int) -> None:
        """Raise `ArgumentError` if samples before step `num_steps` have no observed values."""
        if self.observed is not None and self.num_samples(num_steps) > len(self.observed):
            raise ArgumentError(
                f"the gauges have {len(self.observed)} samples, one every {self.every} steps: "
                f"step {num_steps - 1} is beyond the last"
            )


@dataclass(frozen=True, slots=True)
class Sensors(Observations):
    """Sensors, read at given times.

    Raises
    ------
    ArgumentError
        As for `Observations`.
    """

    cells: Sequence[tuple[int, ...]]
    """The cell of each sensor: one index per axis, in the whole domain."""
    times: Sequence[float]
    """When the sensors are read, in increasing order."""
    observed: NDArray[Any] | None = None
    """Observed values, one row per time and one column per sensor. None: nothing was observed,
    and the cost is zero."""
    sigma: float = 1.0
    """Standard deviation of an observed value, in its unit."""

    def __post_init__(self) -> None:
        self._check(len(self.times))
