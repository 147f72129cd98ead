"""Omits the last evaluation of the right-hand side in the last step of a leaf that is taken again.

The last stage of some Runge-Kutta methods is the solution after the step: its slope has weight zero
in that step, and is the first of the next one. The adjoint step does not use it. So when no other
step follows one that is taken again for its stages, a right-hand side in Python is not evaluated
for it. The slope's vector keeps its old values, which are finite and multiplied by zero.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["LastStage"]

TS = Any
Vec = Any

FIRST_SAME_AS_LAST = {"3bs": 4, "5dp": 7, "5bs": 8, "6vr": 9}
"""Number of stages of the methods whose last stage is the first of the next step."""


class LastStage:
    """A right-hand side whose evaluation for the last stage of a step can be skipped."""

    def __init__(self, function: Callable[..., Any], stages: int) -> None:
        self.function = function
        """The user's right-hand side."""
        self._stages = stages
        self._countdown = -1
        """Evaluations until one is skipped, that one included; negative if none is."""

    @classmethod
    def install(cls, ts: TS, method: str | None) -> "LastStage | None":
        """Wrap the right-hand side of a TS; return None if its method or function rules it out."""
        stages = FIRST_SAME_AS_LAST.get(method or "")
        vector, given = (None, None) if stages is None else ts.getRHSFunction()
        if stages is None or given is None:
            return None
        function, args, keywords = given
        while isinstance(function, cls):  # the wrapper of an earlier stepper of this TS
            function = function.function
        wrapper = cls(function, stages)
        ts.setRHSFunction(wrapper, vector, args, keywords)
        return wrapper

    def __call__(self, ts: TS, time: float, u: Vec, f: Vec, *args: Any, **keywords: Any) -> None:
        """Evaluate the right-hand side, or leave `f` as it is."""
        self._countdown -= 1
        if self._countdown:
            self.function(ts, time, u, f, *args, **keywords)

    @contextmanager
    def skipped(self) -> Generator[None, None, None]:
        """Skip the last evaluation of the one step taken in this context."""
        self._countdown = self._stages
        try:
            yield
        finally:
            self._countdown = -1
