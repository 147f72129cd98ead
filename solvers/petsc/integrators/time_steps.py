"""When steps begin, and how long they are.

A step taken again must begin at the very same time: so the time is a function of the number of the
step, ``start + k size``, or a running sum kept for steps of given sizes, and no part of the state.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from adjoint.errors import ArgumentError

__all__ = ["TimeSteps"]

TOLERANCE = 1e-8
"""How far a time may be from a step's beginning and still be meant, relative to the step."""


class TimeSteps:
    """Steps of one size, or of sizes given one by one.

    Parameters
    ----------
    sizes
        One number, or one for each step.
    start_time
        When step 0 begins.

    Raises
    ------
    ArgumentError
        A size that is not positive and finite.
    """

    def __init__(self, sizes: ArrayLike, start_time: float = 0.0) -> None:
        self._start = float(start_time)
        self._sizes = np.array(sizes, dtype=float)
        wrong = ~(np.isfinite(self._sizes) & (self._sizes > 0))
        if (
            self._sizes.ndim > 1
            or self._sizes.size == 0
            or wrong.any()
            or not np.isfinite(start_time)
        ):
            raise ArgumentError(
                f"time steps must be one positive number or a row of them, the start finite: not "
                f"{sizes!r} from {start_time}"
            )
        self._times = None
        if self._sizes.ndim:
            self._times = self._start + np.r_[0.0, np.cumsum(self._sizes)]

    def time(self, step: int) -> float:
        """Return when a step begins; there is one more than steps.

        Raises
        ------
        ArgumentError
            There are not so many steps.
        """
        if self._times is None:
            return self._start + step * float(self._sizes)
        if step >= len(self._times):
            raise ArgumentError(
                f"step {step - 1} is asked for, and sizes are given for {len(self._sizes)} steps"
            )
        return float(self._times[step])

    def size(self, step: int) -> float:
        """Return how long a step is; raises as `time`."""
        if self._times is None:
            return float(self._sizes)
        self.time(step + 1)
        return float(self._sizes[step])

    def told(self) -> tuple[float, bytes]:
        """Return what tells these steps from others."""
        return self._start, self._sizes.tobytes()

    def steps_at(self, times: Sequence[float]) -> list[int]:
        """Return the step that begins at each of some times.

        Raises
        ------
        ArgumentError
            None does, or times are not in increasing order.
        """
        steps = [self._step_at(time) for time in times]
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ArgumentError(f"times of observation must increase, a step apart: {list(times)}")
        return steps

    def _step_at(self, time: float) -> int:
        if self._times is None:
            size = float(self._sizes)
            nearest = max(0, round((time - self._start) / size))
        else:
            nearest = int(np.argmin(np.abs(self._times - time)))
            size = float(self._sizes[max(0, nearest - 1)])
        if abs(self.time(nearest) - time) > TOLERANCE * size:
            raise ArgumentError(
                f"no step begins at the time of observation {time}: the nearest, {nearest}, begins "
                f"at {self.time(nearest)}. Choose steps that end there"
            )
        return nearest
