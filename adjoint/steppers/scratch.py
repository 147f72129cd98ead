"""Memory for tapes, which the stepper allocates itself until the driver lends it some."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from adjoint.steppers.protocol import Arrays

__all__ = ["Lent", "Scratch"]

S = TypeVar("S", bound=Arrays)


class Lent(Protocol):
    """Memory that is lent for a tape."""

    @property
    def arrays(self) -> Any:
        """The arrays in it."""
        ...


class _Own:
    """Arrays that a stepper has allocated itself."""

    __slots__ = ("arrays",)

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays


class Scratch(Generic[S]):
    """Memory for tapes: named arrays, the same names, shapes and dtypes each time.

    A stepper announces it as `tape_memory`. During a run the driver then lends it the memory, from
    the same pool as its slots if the arrays are those of a state. Otherwise it is allocated when it
    is first needed, and reused last in, first out, while it is in the cache.

    Parameters
    ----------
    make
        Allocates such arrays.
    """

    def __init__(self, make: Callable[[], S]) -> None:
        self.make = make
        self._lent: dict[int, Any] = {}
        self.use_own()

    def use(
        self, take: Callable[[int], Sequence[Lent]], give_back: Callable[[Iterable[Any]], None]
    ) -> None:
        """Take memory by `take(count)` and return it by `give_back` from now on: the driver's.

        All that was taken before is given back to where it came from.
        """
        if self._lent:
            self.begin()
        self._take, self._give_back = take, give_back

    def use_own(self) -> None:
        """Allocate memory from now on. All that was taken before is given back."""
        idle: list[_Own] = []
        make = self.make  # not self, which would be a cycle

        def take(count: int) -> list[_Own]:
            return [idle.pop() if idle else _Own(make()) for _ in range(count)]

        self.use(take, idle.extend)

    def begin(self) -> None:
        """Begin a run: all that was taken is given back."""
        lent, self._lent = self._lent, {}  # first, so that none is ever given back twice
        self._give_back(lent.values())

    def take(self, count: int) -> list[S]:
        """Return `count` mappings of arrays with arbitrary values."""
        return self.accept(self._take(count))

    def hand_over(self, taken: Sequence[Arrays]) -> list[Any]:
        """Return the memory of some of what was taken, which is not the stepper's any more."""
        return [self._lent.pop(id(arrays)) for arrays in taken]

    def accept(self, lent: Sequence[Lent]) -> list[S]:
        """Return the arrays of memory that was not taken, as if it had been."""
        taken: list[S] = [each.arrays for each in lent]
        self._lent.update(zip(map(id, taken), lent, strict=True))
        return taken

    def give_back(self, taken: Sequence[Arrays]) -> None:
        """Give back some of what was taken, in that order. Other arrays among it are left alone."""
        lent = [self._lent.pop(id(arrays), None) for arrays in reversed(taken)]
        self._give_back([each for each in lent if each is not None])
