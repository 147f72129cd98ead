"""When a TS took its steps: the times and sizes that make a run what it is.

Steps whose size PETSc adapts are part of the run, not of the problem: they are noted as they are
accepted, taken again exactly, and not differentiated.
"""

from array import array

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError

__all__ = ["AcceptedSteps"]


class AcceptedSteps:
    """Time and size of every step taken so far: 16 bytes a step."""

    def __init__(self) -> None:
        self._times = array("d")
        self._sizes = array("d")
        self._given = 0

    @property
    def num_given(self) -> int:
        """How many of them were given, not taken."""
        return self._given

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, step: int) -> tuple[float, float]:
        return self._times[step], self._sizes[step]

    def add(self, time: float, size: float) -> None:
        """Note the next step."""
        self._times.append(time)
        self._sizes.append(size)

    def rows(self) -> NDArray[np.float64]:
        """Return all, one row of time and size a step."""
        return np.column_stack((np.array(self._times), np.array(self._sizes)))

    def give(self, rows: ArrayLike) -> None:
        """Forget all, and have these taken by every run from now on."""
        given = np.asarray(rows, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != 2 or not np.isfinite(given).all():
            raise ArgumentError(
                f"accepted steps are finite rows of time and size, not an array {given.shape}"
            )
        self._times = array("d", given[:, 0])
        self._sizes = array("d", given[:, 1])
        self._given = len(given)

    def forget_new(self) -> None:
        """Forget all that were not given."""
        del self._times[self._given :]
        del self._sizes[self._given :]
