"""Times and sizes of the steps that an adaptive integrator accepted.

Adapted step sizes belong to the run, not to the problem: they are recorded when a step is accepted,
reused exactly whenever the step is taken again, and not differentiated.
"""

from array import array

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError

__all__ = ["AcceptedSteps"]


class AcceptedSteps:
    """Time and size of every accepted step: 16 bytes per step."""

    def __init__(self) -> None:
        self._times = array("d")
        self._sizes = array("d")
        self._num_prescribed = 0

    @property
    def num_prescribed(self) -> int:
        """Number of steps, from the first, that were set by `set` rather than accepted."""
        return self._num_prescribed

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, step: int) -> tuple[float, float]:
        return self._times[step], self._sizes[step]

    def add(self, time: float, size: float) -> None:
        """Append an accepted step."""
        self._times.append(time)
        self._sizes.append(size)

    def rows(self) -> NDArray[np.float64]:
        """Return time and size of all steps, of shape ``(steps, 2)``."""
        return np.column_stack((np.array(self._times), np.array(self._sizes)))

    def set(self, rows: ArrayLike) -> None:
        """Replace all steps by these, which every later run takes.

        Raises
        ------
        ArgumentError
            They are not finite rows of time and size.
        """
        given = np.asarray(rows, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != 2 or not np.isfinite(given).all():
            raise ArgumentError(
                "accepted steps must be finite rows of time and size, not an array of shape "
                f"{given.shape}"
            )
        self._times = array("d", given[:, 0])
        self._sizes = array("d", given[:, 1])
        self._num_prescribed = len(given)

    def discard_new(self) -> None:
        """Discard all steps that were not prescribed."""
        del self._times[self._num_prescribed :]
        del self._sizes[self._num_prescribed :]
