"""Tide gauges: where the water level is observed, when, and what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError

__all__ = ["Gauges"]


@dataclass(frozen=True, slots=True)
class Gauges:
    """Gauges in cells of a grid, the same on all ranks.

    Raises
    ------
    ArgumentError
        A value is out of range, or the observations do not fit the number of gauges.
    """

    cells: Sequence[tuple[int, int]]
    """Row and column of each gauge in the whole domain."""
    observed: NDArray[Any] | None = None
    """Water levels in metres, one row a sample, one column a gauge. None: nothing was seen, and
    the cost is zero."""
    every: int = 1
    """Steps from one sample to the next: sample ``s`` is the state at step ``s * every``."""
    sigma: float = 1.0
    """Standard deviation of an observation, in metres."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ArgumentError(f"every must be at least one step, not {self.every}")
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise ArgumentError(f"sigma must be positive and finite, not {self.sigma}")
        if self.observed is None:
            return
        if self.observed.ndim != 2 or self.observed.shape[1] != len(self.cells):
            raise ArgumentError(
                f"observed must have one column for each of the {len(self.cells)} gauges: its "
                f"shape is {self.observed.shape}"
            )
        if not np.isfinite(self.observed).all():
            raise ArgumentError("observed must be finite: leave a broken gauge out")

    def num_samples(self, num_steps: int) -> int:
        """How many samples a run of so many steps has."""
        return -(-num_steps // self.every)
