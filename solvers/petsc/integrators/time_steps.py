"""Times and lengths of the steps of an integrator.

A step taken again must begin at exactly the same time. So the time is not part of the state, but a
function of the step: ``start + k size``, or a precomputed cumulative sum of given lengths.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from adjoint.errors import ArgumentError

__all__ = ["TimeSteps"]

TOLERANCE = 1e-8
"""A time within this fraction of a step from the beginning of a step is taken to be that time: far
above the round-off of sums of steps, far below a step."""


class TimeSteps:
    """Steps of one length, or of given lengths.

    Parameters
    ----------
    sizes
        Length of all steps, or of each.
    start_time
        Time at which step 0 begins.

    Raises
    ------
    ArgumentError
        A length is not positive and finite.
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
                f"steps={sizes!r}, start_time={start_time}: give one positive length or a sequence "
                "of them, and a finite start"
            )
        self._times = None
        if self._sizes.ndim:
            self._times = self._start + np.r_[0.0, np.cumsum(self._sizes)]

    def time(self, step: int) -> float:
        """Return the time at which a step begins; that of step ``num_steps`` is the end.

        Raises
        ------
        ArgumentError
            No length was given for the step before.
        """
        if self._times is None:
            return self._start + step * float(self._sizes)
        if step >= len(self._times):
            raise ArgumentError(
                f"there is no step {step - 1}: lengths were given for {len(self._sizes)} steps"
            )
        return float(self._times[step])

    def size(self, step: int) -> float:
        """Return the length of a step; raises as `time`."""
        if self._times is None:
            return float(self._sizes)
        self.time(step + 1)
        return float(self._sizes[step])

    def identity(self) -> tuple[float, bytes]:
        """Return what distinguishes these steps from others."""
        return self._start, self._sizes.tobytes()

    def steps_at(self, times: Sequence[float]) -> list[int]:
        """Return the steps that begin at the given times.

        Raises
        ------
        ArgumentError
            No step begins at a time, or the times do not increase.
        """
        steps = [self._step_at(time) for time in times]
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ArgumentError(
                f"observation times must increase, by a step at least: {list(times)}"
            )
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
                f"no step begins at the observation time {time}: the nearest, step {nearest}, "
                f"begins at {self.time(nearest)}. Choose steps that end at observations"
            )
        return nearest
