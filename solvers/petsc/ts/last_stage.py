"""The right-hand side of a TS, not evaluated where a step is taken only to be reversed.

The last stage of some Runge-Kutta methods is the solution after the step: its derivative has no
weight in that step, and is the first of the next one. The adjoint step does not use it. So where
the step is taken again for its stages, a function in Python is spared the last of its evaluations,
and what the vector held before stays: any numbers, as long as they are finite, times zero.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["LastStage"]

TS = Any
Vec = Any

FIRST_SAME_AS_LAST = {"3bs": 4, "5dp": 7, "5bs": 8, "6vr": 9}
"""The stages of the methods whose last one is the first of the next step."""


class LastStage:
    """A right-hand side that need not be evaluated for the last stage of a step."""

    def __init__(self, function: Callable[..., Any], stages: int) -> None:
        self.given = function
        """The user's."""
        self._stages = stages
        self._left = -1
        """Evaluations until one is left out; negative if none is."""

    @classmethod
    def put_into(cls, ts: TS, method: str | None) -> "LastStage | None":
        """Put one in the place of a TS's; None if its method or its function does not allow it."""
        stages = FIRST_SAME_AS_LAST.get(method or "")
        vector, given = (None, None) if stages is None else ts.getRHSFunction()
        if stages is None or given is None:
            return None
        function, args, keywords = given
        while isinstance(function, cls):  # another stepper had this TS
            function = function.given
        found = cls(function, stages)
        ts.setRHSFunction(found, vector, args, keywords)
        return found

    def __call__(self, ts: TS, time: float, u: Vec, f: Vec, *args: Any, **keywords: Any) -> None:
        """Evaluate, or leave `f` as it is."""
        self._left -= 1
        if self._left:
            self.given(ts, time, u, f, *args, **keywords)

    @contextmanager
    def skipped(self) -> Generator[None, None, None]:
        """Have the next evaluation for a last stage left out: one step is taken meanwhile."""
        self._left = self._stages
        try:
            yield
        finally:
            self._left = -1
