"""Memory for tapes that consist of states."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from adjoint.steppers.protocol import Arrays

__all__ = ["Scratch"]

S = TypeVar("S", bound=Arrays)


class Scratch(Generic[S]):
    """Memory for tapes that consist of states, allocated when it is first needed and reused.

    States are reused last in, first out, while they are in the cache. Those that a whole run did
    not need are released: a probe may have tried larger leaves than the plan has.

    Parameters
    ----------
    make
        Allocates one state.
    """

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self._idle: list[S] = []
        self._lent = 0
        self._peak = 0

    def begin(self) -> None:
        """Begin a run. States of the last one that were not given back are forgotten."""
        del self._idle[: max(0, len(self._idle) - self._peak)]
        self._lent = self._peak = 0

    def take(self) -> S:
        """Return a state with arbitrary values."""
        self._lent += 1
        self._peak = max(self._peak, self._lent)
        return self._idle.pop() if self._idle else self._make()

    def give_back(self, states: Sequence[Any]) -> None:
        """Give back the states of one tape, in the order in which they were taken."""
        self._lent -= len(states)
        self._idle.extend(reversed(states))
