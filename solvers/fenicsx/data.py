"""What forms depend on besides the states of a step, and whether it has changed.

A linear problem has constant operators as long as nobody changes a coefficient. That is found out
by comparing bits with a copy, which costs little beside a solve, so that no change is missed: of a
control between two evaluations, of a Constant or a Function in the course of time, of boundary
values, or of the mesh.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from solvers.fenicsx.dofs import array_of
from solvers.fenicsx.forms import depends_on

__all__ = ["Data", "Kept"]


class Data:
    """Functions, Constants and other arrays, with a version that grows when their bits change.

    Parameters
    ----------
    mesh
        The mesh; its geometry is watched too. `refresh` is collective on its communicator.
    states
        The Functions that every step changes: the unknown and the levels before it.
    is_fixed
        Whether a Function or a Constant is known to stay the same while steps are taken.
    """

    def __init__(self, mesh: Any, states: Collection[Any], is_fixed: Callable[[Any], bool]) -> None:
        self.states = states
        self.count = 0
        """How many refreshes have found a change."""
        self._is_fixed = is_fixed
        self._comm = mesh.comm
        self._holders: list[Any] = []
        self._read: list[Callable[[], NDArray[Any]]] = []
        self._copies: list[NDArray[np.uint64]] = []
        self._versions: list[int] = []
        self.geometry = self.watch(mesh, lambda: mesh.geometry.x)
        """The number of the geometry of the mesh."""

    def watch(self, holder: Any, read: Callable[[], NDArray[Any]] | None = None) -> int:
        """Watch a Function, a Constant, or what `read` returns; return its number.

        The next refresh finds that it has changed.
        """
        for place, other in enumerate(self._holders):
            if other is holder:
                return place
        self._holders.append(holder)
        self._read.append(read or partial(array_of, holder))
        self._copies.append(np.empty(0, np.uint64))
        self._versions.append(0)
        return len(self._read) - 1

    def refresh(self) -> None:
        """Compare everything with its copy. Collective."""
        bits = [np.ascontiguousarray(read()).reshape(-1).view(np.uint64) for read in self._read]
        pairs = zip(bits, self._copies, strict=True)
        changed = np.array([not np.array_equal(new, old) for new, old in pairs], np.uint8)
        if self._comm.size > 1:
            self._comm.Allreduce(MPI.IN_PLACE, changed, MPI.MAX)
        for place in np.flatnonzero(changed):
            self._copies[place] = bits[place].copy()
            self._versions[place] += 1
        self.count += bool(changed.any())

    def versions(self, places: Sequence[int]) -> list[int]:
        """Return the versions of what has these numbers."""
        return [self._versions[place] for place in places]

    def uses_state(self, form: Any) -> bool:
        """Return whether an expanded form depends on the unknown or a level before it."""
        return any(each in self.states for each in depends_on(form))

    def are_fixed(self, form: Any, *, apart_from: Any = None) -> bool:
        """Return whether all that an expanded form depends on stays the same in a run."""
        return all(
            each is apart_from or (each not in self.states and self._is_fixed(each))
            for each in depends_on(form)
        )

    def kept(self, form: Any, *others: Any) -> "Kept":
        """Return the state of something that is made from a form and other watched things."""
        own = [each for each in depends_on(form) if each not in self.states]
        return Kept(self, [*own, *others])


class Kept:
    """Whether something that was made from data has to be made again."""

    def __init__(self, data: Data, holders: Iterable[Any]) -> None:
        self._data = data
        self._places = [data.geometry, *(data.watch(holder) for holder in holders)]
        self._made: list[int] = []
        self._count = -1

    def is_stale(self) -> bool:
        """Return whether the data are not those of the last call of `renewed`."""
        if self._count == self._data.count:
            return False
        stale = self._data.versions(self._places) != self._made
        if not stale:
            self._count = self._data.count
        return stale

    def renewed(self) -> None:
        """Note that it has been made from the present data."""
        self._made = self._data.versions(self._places)
        self._count = self._data.count
