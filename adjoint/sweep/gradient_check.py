"""Where an adjoint or a gradient ceases to be finite, though the cost is finite.

What is not finite stays so, so it need not be looked for after every leaf: so many leaves are
passed over that it takes about a hundredth of the time. The error names the steps of all of them.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import NonFiniteError
from adjoint.steppers.capabilities import Capabilities
from adjoint.storage.checksums import first_non_finite

__all__ = ["GradientCheck"]

TIME_PER_CHECK = 100
"""The time from one check to the next, as a multiple of what a check takes."""


class GradientCheck:
    """Examines the adjoint and the accumulators of a stepper in a reverse sweep.

    No method is collective. Of a control with a row per step, only the rows that are new are read;
    other gradients that are not in memory are left out.

    Parameters
    ----------
    capabilities
        Of the stepper.
    on_rank
        What an error says of the rank.
    """

    def __init__(self, capabilities: Capabilities, on_rank: str) -> None:
        self.leaves_left = 0
        """Leaves that are still to be passed over before the next one to `examine`."""
        self._capabilities = capabilities
        self._per_step = capabilities.per_step
        self._on_rank = on_rank
        self._finite_at: int | None = None
        self._passed = 0
        """Leaves that were passed over before the last check."""
        self._ended = 0.0

    def after_turn(self, num_steps: int) -> NonFiniteError | None:
        """Return the error of an adjoint that is not finite from the beginning, if it is not."""
        self._finite_at, self._ended = num_steps, time.perf_counter()
        return self._examine(num_steps, num_steps, "the derivative of the terminal cost")

    def examine(self, start: int, stop: int) -> NonFiniteError | None:
        """Return the error of what is no longer finite after the leaf ``[start, stop)``, if any."""
        began = time.perf_counter()
        end = stop if self._finite_at is None else self._finite_at
        error = self._examine(start, end, f"the steps [{start}, {end})")
        before, self._finite_at, self._ended = self._ended, start, time.perf_counter()
        is_slow = TIME_PER_CHECK * (self._ended - began) > began - before
        self._passed = self.leaves_left = 2 * self._passed + 1 if is_slow else self._passed // 2
        return error

    def after_finish(self) -> NonFiniteError | None:
        """Return the error of a gradient that is not finite, if it is not."""
        return self._examine(0, 0, "the derivative of the initial state")

    def _examine(self, start: int, stop: int, place: str) -> NonFiniteError | None:
        stepper = self._capabilities.stepper
        for what, arrays in (
            ("adjoint", stepper.adjoint),
            ("gradient by", self._new_rows(stepper.accumulators, start, stop)),
        ):
            name = first_non_finite(arrays)
            if name is not None:
                return NonFiniteError(
                    f"the {what} {name!r} is not finite, though the cost is{self._on_rank}: it "
                    f"became so in {place}"
                )
        return None

    def _new_rows(
        self, accumulators: Mapping[str, NDArray[Any]], start: int, stop: int
    ) -> Mapping[str, NDArray[Any]]:
        return {
            name: np.asarray(grown[start:stop]) if name in self._per_step else grown
            for name, grown in accumulators.items()
            if name in self._per_step or type(grown) is np.ndarray
        }
