"""Costs of many members, such as shots or sequences, added up over groups of ranks.

A member's cost and gradient have the same bits on any group of as many ranks, and sums are made by
one binary tree over the members' numbers. So the sum has the same bits for any number of groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.closing import Closing
from adjoint.errors import AdjointError, ArgumentError
from adjoint.functional import Functional
from adjoint.parallel import Communicator, agree_on, communicator
from adjoint.reporting.report import Report
from adjoint.steppers import Stepper

__all__ = ["Ensemble"]

Arrays = dict[str, NDArray[Any]]
Sum = list[NDArray[Any]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Products:
    """What `Ensemble.second_order` returns: the sums over members."""

    cost: float
    gradient: Arrays | None
    products: Arrays


class Ensemble(Closing):
    """A cost that is a sum over members, each a run of the same functional with its own data.

    Collective on `comm`. The ranks form groups of `ranks_per_member`; the members go to the groups
    in contiguous runs, and each group computes its own one after the other, in the memory and the
    file of one functional. Controls are those of the functional, the same for every member.

    Parameters
    ----------
    make
        Called once on each rank with the communicator of its group, an mpi4py communicator or None;
        returns the group's `Functional`, made with ``comm=`` that one. A named file must have a
        name of its own in each group.
    members
        What distinguishes the members: anything that `load` understands. The same on every rank.
    load
        ``load(stepper, member)`` sets source and data of a member before each of its runs.
    comm
        All ranks, as an mpi4py communicator; None for one process.
    ranks_per_member
        Number of ranks that compute a member together.

    Raises
    ------
    ArgumentError
        On every rank: there are no members, or the ranks do not form such groups.
    """

    def __init__(
        self,
        make: Callable[[Any], Functional],
        members: Sequence[Any],
        *,
        load: Callable[[Any, Any], object],
        comm: Any = None,
        ranks_per_member: int = 1,
    ) -> None:
        self.comm: Communicator = communicator(comm)
        self.members = tuple(members)
        if not self.members:
            raise ArgumentError("an ensemble needs at least one member")
        size, each = self.comm.size, ranks_per_member
        if each < 1 or size % each:
            raise ArgumentError(
                f"{size} ranks do not form groups of ranks_per_member={each}: start a multiple"
            )
        self._load = load
        self._group = self.comm.rank // each
        num_groups = size // each
        ends = [len(self.members) * group // num_groups for group in range(num_groups + 1)]
        self._mine = range(ends[self._group], ends[self._group + 1])
        of_group = None if self.comm.mpi is None else self.comm.mpi.Split(self._group)
        across = None if self.comm.mpi is None else self.comm.mpi.Split(self.comm.rank % each)
        self._across = communicator(across)
        """The ranks of all groups that hold the same part of the controls."""
        with self.comm.failing():
            self.functional = make(of_group)
        self._split = [each for each in (of_group, across) if each is not None]

    @property
    def stepper(self) -> Stepper:
        """The stepper of this rank's group."""
        return self.functional.stepper

    @property
    def group(self) -> Communicator:
        """The ranks of this rank's group."""
        return self.functional.comm

    @property
    def report(self) -> Report | None:
        """Figures of the last gradient of this rank's group."""
        return self.functional.report

    def value(self, controls: Mapping[str, ArrayLike] | None = None) -> float:
        """Return the sum of the members' costs."""
        return float(self._sum(lambda: [np.array(self.functional.value(controls))])[0])

    def value_and_gradient(
        self, controls: Mapping[str, ArrayLike] | None = None
    ) -> tuple[float, Arrays]:
        """Return the sum of the members' costs, and its gradient; see `Functional`.

        Raises
        ------
        NonFiniteError
            On every rank: a member's cost or gradient is not finite. The message names the
            member, as do those of all other errors, such as one of `load`.
        """
        names: list[str] = list(self.stepper.controls)

        def one() -> Sum:
            cost, gradient = self.functional.value_and_gradient(controls)
            return [np.array(cost), *(gradient[name] for name in names)]

        cost, *gradients = self._sum(one)
        return float(cost), dict(zip(names, gradients, strict=True))

    def second_order(
        self,
        directions: Mapping[str, ArrayLike],
        controls: Mapping[str, ArrayLike] | None = None,
        *,
        gauss_newton: bool = False,
        block: int | None = None,
    ) -> _Products:
        """Return the sums of the members' second-order products; see `Functional.second_order`."""
        names: list[str] = list(self.stepper.controls)

        def one() -> Sum:
            found = self.functional.second_order(
                directions, controls, gauss_newton=gauss_newton, block=block
            )
            gradient = [] if found.gradient is None else [found.gradient[name] for name in names]
            return [np.array(found.cost), *gradient, *(found.products[name] for name in names)]

        cost, *rest = self._sum(one)
        products = dict(zip(names, rest[-len(names) :], strict=True))
        slope = None if gauss_newton else dict(zip(names, rest[: len(names)], strict=True))
        return _Products(float(cost), slope, products)

    def fingerprint(self) -> str:
        """Return a digest of what all members' costs depend on besides the controls. Collective."""
        own: list[str] = []
        for number in self._mine:
            self._loaded(number)
            own.append(self.functional.fingerprint())
        everyone = "".join(text for each in self._across.gather(own) for text in each)
        return blake2b(everyone.encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        """Close the group's functional, and free the communicators. Collective."""
        self.functional.close()
        for each in self._split:
            each.Free()
        self._split = []
        self._across.free()
        self.comm.free()

    # -- inside --------------------------------------------------------------------------------

    def _sum(self, one: Callable[[], Sum]) -> Sum:
        """Return the sum of `one()` over all members, the same on every rank of `_across`."""
        partial: dict[tuple[int, int], Sum] = {}
        failure: AdjointError | None = None
        with self.comm.failing():
            for number in self._mine:
                try:
                    self._loaded(number)
                    partial[number, number + 1] = one()
                except AdjointError as error:
                    failure = type(error)(f"member {number}: {error}")
                    failure.__cause__ = error
                    break
                _add_up(partial, len(self.members))
            self.comm.agree(failure)
            for theirs in self._across.gather(partial):
                partial.update(theirs)
            _add_up(partial, len(self.members))
        return partial[0, len(self.members)]

    def _loaded(self, number: int) -> None:
        """Load a member on this rank; if that fails, on all ranks of the group."""

        def translated(error: Exception) -> Exception:
            known = isinstance(error, AdjointError)
            return error if known else ArgumentError(f"load() failed: {error!r}")

        agree_on(
            lambda: self._load(self.stepper, self.members[number]),
            self.group,
            catch=Exception,
            translate=translated,
        )


def _halves(low: int, high: int) -> int:
    """Return where the tree's node ``[low, high)`` splits."""
    return low + (1 << ((high - low - 1).bit_length() - 1))


def _add_up(partial: dict[tuple[int, int], Sum], count: int) -> None:
    """Replace nodes of the tree over `count` members by their parents where both halves are there.

    What remains of a contiguous run of members is at most two nodes a level of the tree.
    """

    def total(low: int, high: int) -> Sum | None:
        if (low, high) in partial:
            return partial[low, high]
        if high - low == 1 or not any(low <= each[0] < high for each in partial):
            return None
        middle = _halves(low, high)
        left, right = total(low, middle), total(middle, high)
        if left is None or right is None:
            return None
        del partial[low, middle], partial[middle, high]
        partial[low, high] = [a + b for a, b in zip(left, right, strict=True)]
        return partial[low, high]

    total(0, count)
