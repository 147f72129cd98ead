"""Where to keep a tape, and where a state: the best choice for every length and number of slots.

A tape may be kept like a snapshot. It takes `tape_slots` slots instead of one, and it saves more:
its leaf is pulled back without being taken again (Maddison 2024, "Step-based checkpointing with
high-level algorithmic differentiation", doi:10.1016/j.jocs.2024.102405, whose schedules are the
case of a tape as large as a state, ``tape_slots = 1``). The tape of the leaf that is being reversed
always has room and is not counted.

Units are leaves. To advance over a leaf costs 1, and so does to record it where its end is needed;
where it is pulled back at once, `unreached`, between 0 and 1. Every leaf is recorded once. Let the
first state of `l` leaves be live and `s` slots be free. Either the first leaf is recorded, its tape
kept, and what is right of it reversed; or the state is kept, `i` leaves are advanced, what is right
of there is reversed, and then what is left of it, from the state that was kept::

    A(1, s) = unreached
    A(l, s) = min(1 + A(l-1, s - tape_slots),  min_i  i + A(l-i, s-1) + A(i, s))

Where the first state can be read again from the file, at some cost `c`, it takes no slot::

    A_d(1, s) = unreached
    A_d(l, s) = min(1 + A(l-1, s - tape_slots),  min_i  i + A(l-i, s) + A_d(i, s) + c)

Among choices of equal cost, the ones taken here lead to the fewest `Store` and `Restore` actions in
all. Each of them costs a copy of a state, or a step out of place, that the model has no price for.
A restore is saved by every tape that is kept, so tapes are preferred.

The end of the last leaf of a run is always needed, for the terminal cost: that leaf costs 1 and not
`unreached`, whatever is chosen, so the cost of a whole run is ``1 - unreached`` more than A.
"""

from functools import cached_property
from math import inf
from operator import index

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ScheduleError
from adjoint.schedules.protocol import num_leaves

__all__ = ["TapeTable"]

_TIE = 2.0**-30
"""What a `Store` or a `Restore` weighs: it decides between equals, and never otherwise."""


class TapeTable:
    """Costs and decisions for all numbers of leaves and slots up to some.

    It is built once, in ``O(max_slots * max_leaves**2)`` operations of NumPy: 400 leaves and 64
    slots take some 20 ms, 2000 and 32 some 0.1 s, and as long again once the file is asked for.
    Nothing changes it afterwards.

    Parameters
    ----------
    max_leaves
        The most leaves, at least 1.
    max_slots
        The most slots. More than it takes to keep the tapes of all leaves but one are left out.
    tape_slots
        Slots that a kept tape takes, at least 1.
    unreached
        What it costs to record a leaf whose end is not needed, in units of advancing over it:
        between 0 and 1.
    reread
        What reading the first state again from the file is reckoned to cost, in the same units: it
        holds a slot meanwhile.

    Raises
    ------
    ScheduleError
        A number that is out of its range.
    """

    def __init__(
        self,
        max_leaves: int,
        max_slots: int,
        *,
        tape_slots: int,
        unreached: float = 1.0,
        reread: float = 0.0,
    ) -> None:
        num_leaves(max_leaves, 1)
        if index(max_slots) < 0:
            raise ScheduleError(f"max_slots is {max_slots}: there may be none, but no fewer")
        if index(tape_slots) < 1:
            raise ScheduleError(f"tape_slots is {tape_slots}: a tape takes at least one slot")
        if not 0 <= unreached <= 1:
            raise ScheduleError(
                f"unreached is {unreached}: it is 0 where the last step need not be taken, "
                f"1 where it must, or between"
            )
        self.max_leaves = index(max_leaves)
        self.tape_slots = index(tape_slots)
        self.max_slots = min(index(max_slots), self.tape_slots * (self.max_leaves - 1))
        self.unreached = float(unreached)
        if not 0 <= reread < inf:
            raise ScheduleError(f"reread is {reread}: it is a number of leaves, and not negative")
        self.reread = float(reread)
        self._memory = _FromMemory(self.max_leaves, self.max_slots, self.tape_slots, self.unreached)

    def cost(self, leaves: int, slots: int, in_file: bool = False) -> float:
        """Return A, or A_d if the first state is in the file; infinite where it is impossible.

        Raises
        ------
        IndexError
            The table does not reach so far.
        """
        rows = self.file_costs if in_file else self.costs
        return rows[min(slots, self.tape_slots * (leaves - 1))][leaves]

    def decision(self, leaves: int, slots: int, in_file: bool = False) -> int:
        """Return 0 to record the first leaf and keep its tape, j > 0 to advance over j leaves.

        The first state is kept in a slot before the advance unless it is in the file, and is given
        up if the leaf is recorded. A single leaf is recorded. Where nothing is possible, for want
        of a slot, it is -1.

        Raises
        ------
        IndexError
            The table does not reach so far.
        """
        rows = self.file_decisions if in_file else self.decisions
        return rows[min(slots, self.tape_slots * (leaves - 1))][leaves]

    @cached_property
    def costs(self) -> list[list[float]]:
        """``costs[slots][leaves]``, for slots up to `max_slots` and leaves up to `max_leaves`.

        No leaves cost nothing. Like the other rows, these are lists of Python's numbers: NumPy's
        take three times as long to look up.
        """
        return self._memory.cost[self._memory.pad :].tolist()

    @cached_property
    def decisions(self) -> list[list[int]]:
        """``decisions[slots][leaves]``, as `decision` has them; 0 for no leaves."""
        return self._memory.choice.tolist()

    @cached_property
    def file_costs(self) -> list[list[float]]:
        """The same as `costs`, the first state being in the file."""
        return self._file.cost.tolist()

    @cached_property
    def file_decisions(self) -> list[list[int]]:
        """The same as `decisions`, the first state being in the file."""
        return self._file.choice.tolist()

    @cached_property
    def _file(self) -> "_FromFile":
        return _FromFile(self._memory, self.unreached, self.reread)


class _FromMemory:
    """What reversing costs from a state that is live: one row for each number of slots.

    Above the rows for 0 slots and more are `pad` rows for fewer than none, where nothing is
    possible. So the first `num_rows` rows are those with the slots of a tape less.
    """

    def __init__(self, leaves: int, slots: int, tape_slots: int, unreached: float) -> None:
        self.num_rows = slots + 1
        self.pad = min(tape_slots, self.num_rows)
        self.cost = np.full((self.pad + self.num_rows, leaves + 1), np.inf)
        self.choice = np.zeros((self.num_rows, leaves + 1), np.int32)
        self.weighed = np.full_like(self.cost, np.inf)
        """`cost` and the weight of the stores and restores, for a first state that no slot has.

        Column ``leaves - l`` is for `l` leaves: what is right of a split shrinks as the split
        grows."""
        from_slot = np.full((self.num_rows, leaves + 1), np.inf)
        """The same, restores included, for a first state that a slot has, and `l` more: what it
        costs to advance `l` leaves and to reverse them later. Column `l` is for `l` leaves."""
        self.cost[self.pad :, 0] = 0.0
        self.cost[self.pad :, 1] = self.weighed[self.pad :, leaves - 1] = unreached
        from_slot[:, 1] = 1 + unreached + _TIE
        right = self.weighed[self.pad - 1 : -1]
        for length in range(2, leaves + 1):
            taped = self.taped(length)
            split, choice = _best_split(right[:, leaves - length + 1 :], from_slot[:, :length])
            # no store is in `split`, so one choice is the best for a state that a slot has and for
            # one that none has: there, a tape with one action more would be just as good
            choice[taped <= split] = 0
            self.weighed[self.pad :, leaves - length] = np.minimum(taped, split + _TIE)
            from_slot[:, length] = np.minimum(taped, split) + (length + _TIE)
            self.choice[:, length] = choice
            self.cost[self.pad :, length] = self.chosen(
                choice, length, self.cost[self.pad - 1 : -1], self.cost[self.pad :]
            )
        self.choice[0, 2:] = -1

    def taped(self, length: int) -> NDArray[np.float64]:
        """Return the weighed cost of recording the first leaf and keeping its tape."""
        return 1 + self.weighed[: self.num_rows, -length]

    def chosen(
        self,
        choice: NDArray[np.int32],
        length: int,
        right: NDArray[np.float64],
        left: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the cost of the choices for one length, without weights and so exact."""
        rows = np.arange(self.num_rows)
        split = choice + right[rows, length - choice] + left[rows, choice]
        return np.where(choice, split, 1 + self.cost[: self.num_rows, length - 1])


class _FromFile:
    """What reversing costs from a state that is live and is in the file as well."""

    def __init__(self, memory: _FromMemory, unreached: float, reread: float) -> None:
        leaves = memory.cost.shape[1] - 1
        right_cost, right = memory.cost[memory.pad :], memory.weighed[memory.pad :]
        self.cost = np.full_like(right_cost, np.inf)
        self.choice = np.zeros_like(memory.choice)
        again = np.full_like(self.cost, np.inf)
        """As `from_slot` of `_FromMemory`, for a first state that is read from the file."""
        self.cost[:, 0] = 0.0
        self.cost[:, 1] = unreached
        again[:, 1] = 1 + unreached + _TIE
        for length in range(2, leaves + 1):
            taped = memory.taped(length)
            split, choice = _best_split(right[:, leaves - length + 1 :], again[:, :length])
            split += reread
            choice[taped <= split] = 0
            again[:, length] = np.minimum(taped, split) + (length + _TIE)
            self.choice[:, length] = choice
            self.cost[:, length] = memory.chosen(choice, length, right_cost, self.cost)
            self.cost[choice > 0, length] += reread


def _best_split(
    right: NDArray[np.float64], left: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the least cost of advancing first, and over how many leaves, for every row.

    Columns ``1 … l-1`` of `left`, and as many of `right` from the first, are for advancing over so
    many leaves.
    """
    length = left.shape[1]
    tried = right[:, : length - 1] + left[:, 1:]
    best = tried.argmin(axis=1)
    return tried[np.arange(len(tried)), best], (best + 1).astype(np.int32)
