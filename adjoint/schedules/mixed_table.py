"""The optimal choice between keeping a tape and a state, for every length and number of slots.

A tape may be kept like a snapshot. It takes `tape_slots` slots instead of one, and it saves more:
its leaf is pulled back without being taken again (Maddison 2024, "Step-based checkpointing with
high-level algorithmic differentiation", doi:10.1016/j.jocs.2024.102405, for tapes as large as
states, ``tape_slots = 1``). The tape of the leaf that is being reversed takes no slot.

The unit is a leaf. Advancing over a leaf costs 1. Recording it costs 1 if its end is needed, and
`unreached`, between 0 and 1, if it is pulled back at once. Every leaf is recorded once. Let the
first state of `l` leaves be live and `s` slots be free. Either the first leaf is recorded, its tape
kept, and the leaves right of it are reversed; or the state is kept, `i` leaves are advanced over,
the leaves right of there are reversed, and then those left of it, from the kept state::

    A(1, s) = unreached
    A(l, s) = min(1 + A(l-1, s - tape_slots),  min_i  i + A(l-i, s-1) + A(i, s))

If the first state can be read again from the file, at a cost `c`, it takes no slot::

    A_d(1, s) = unreached
    A_d(l, s) = min(1 + A(l-1, s - tape_slots),  min_i  i + A(l-i, s) + A_d(i, s) + c)

Of choices with equal cost, the one with the fewest `Store` and `Restore` actions in all is taken:
each of these costs a copy of a state, or a step out of place, which the model neglects. Every kept
tape saves a restore, so tapes are preferred.

The end of the last leaf of a run is always needed, for the terminal cost: that leaf costs 1 instead
of `unreached`, so a whole run costs ``1 - unreached`` more than A.
"""

from functools import cached_property
from math import inf
from operator import index

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ScheduleError
from adjoint.schedules.protocol import num_leaves

__all__ = ["TapeTable", "require_tape"]

TIE_BREAK = 2.0**-30
"""Weight of a `Store` or a `Restore`, in leaves: too small to matter unless costs are equal."""


class TapeTable:
    """Costs and decisions for all numbers of leaves and slots up to a maximum.

    Immutable. Takes ``O(max_slots * max_leaves**2)`` operations of NumPy: some 20 ms for 400 leaves
    and 64 slots, 0.1 s for 2000 and 32, and as long again when the file is first asked for.

    Parameters
    ----------
    max_leaves
        The most leaves, at least 1.
    max_slots
        The most slots. More than the tapes of all leaves but one take are left out.
    tape_slots
        Slots that a kept tape takes, at least 1.
    unreached
        Cost of recording a leaf whose end is not needed, in units of advancing over it: between 0
        and 1.
    reread
        Cost of reading the first state again from the file, in the same units, for the slot that it
        holds meanwhile.

    Raises
    ------
    ScheduleError
        A number is out of range.
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
            raise ScheduleError(f"max_slots is {max_slots}: it must be 0 or more")
        require_tape(tape_slots, unreached)
        if not 0 <= reread < inf:
            raise ScheduleError(f"reread is {reread}: it must be finite and at least 0, in leaves")
        self.max_leaves = index(max_leaves)
        self.tape_slots = index(tape_slots)
        self.max_slots = min(index(max_slots), self.tape_slots * (self.max_leaves - 1))
        self.unreached = float(unreached)
        self.reread = float(reread)
        self._memory = _FromMemory(self.max_leaves, self.max_slots, self.tape_slots, self.unreached)

    def cost(self, leaves: int, slots: int, in_file: bool = False) -> float:
        """Return A, or A_d if the first state is in the file; infinite if there are too few slots.

        Raises
        ------
        IndexError
            There are more leaves or slots than in the table.
        """
        rows = self.file_costs if in_file else self.costs
        return rows[min(slots, self.tape_slots * (leaves - 1))][leaves]

    def decision(self, leaves: int, slots: int, in_file: bool = False) -> int:
        """Return 0 to record the first leaf and keep its tape, j > 0 to advance over j leaves.

        The first state is kept in a slot before the advance unless it is in the file, and discarded
        if the leaf is recorded. A single leaf is recorded. Return -1 if there are too few slots.

        Raises
        ------
        IndexError
            There are more leaves or slots than in the table.
        """
        rows = self.file_decisions if in_file else self.decisions
        return rows[min(slots, self.tape_slots * (leaves - 1))][leaves]

    @cached_property
    def costs(self) -> list[list[float]]:
        """``costs[slots][leaves]``, for slots up to `max_slots` and leaves up to `max_leaves`.

        Zero leaves cost nothing. Like the other tables these are lists of Python numbers, which are
        looked up three times as fast as NumPy's.
        """
        return self._memory.cost[self._memory.pad :].tolist()

    @cached_property
    def decisions(self) -> list[list[int]]:
        """``decisions[slots][leaves]``, as returned by `decision`; 0 for zero leaves."""
        return self._memory.choice.tolist()

    @cached_property
    def file_costs(self) -> list[list[float]]:
        """Like `costs`, with the first state in the file."""
        return self._file.cost.tolist()

    @cached_property
    def file_decisions(self) -> list[list[int]]:
        """Like `decisions`, with the first state in the file."""
        return self._file.choice.tolist()

    @cached_property
    def _file(self) -> "_FromFile":
        return _FromFile(self._memory, self.unreached, self.reread)


class _FromMemory:
    """The costs of reversing from a live state, with one row for each number of slots.

    The rows for 0 slots and more follow `pad` rows for negative numbers of slots, whose costs are
    infinite. So the first `num_rows` rows are those for `tape_slots` slots fewer.
    """

    def __init__(self, leaves: int, slots: int, tape_slots: int, unreached: float) -> None:
        self.num_rows = slots + 1
        self.pad = min(tape_slots, self.num_rows)
        self.cost = np.full((self.pad + self.num_rows, leaves + 1), np.inf)
        self.choice = np.zeros((self.num_rows, leaves + 1), np.int32)
        self.weighted = np.full_like(self.cost, np.inf)
        """`cost` plus the weight of stores and restores, for a first state in no slot.

        Column ``leaves - l`` is for `l` leaves, so that the right sides of splits are in the order
        of the splits."""
        from_slot = np.full((self.num_rows, leaves + 1), np.inf)
        """The weighted cost of advancing over `l` leaves and reversing them later from a first
        state in a slot, its restore included. Column `l` is for `l` leaves."""
        self.cost[self.pad :, 0] = 0.0
        self.cost[self.pad :, 1] = self.weighted[self.pad :, leaves - 1] = unreached
        from_slot[:, 1] = 1 + unreached + TIE_BREAK
        right = self.weighted[self.pad - 1 : -1]
        for length in range(2, leaves + 1):
            taped = self.taped(length)
            split, choice = _best_split(right[:, leaves - length + 1 :], from_slot[:, :length])
            # `split` includes no store, so the choice is for a first state in a slot. It is optimal
            # for one in no slot, too: there a tape with one action more would be just as good
            choice[taped <= split] = 0
            self.weighted[self.pad :, leaves - length] = np.minimum(taped, split + TIE_BREAK)
            from_slot[:, length] = np.minimum(taped, split) + (length + TIE_BREAK)
            self.choice[:, length] = choice
            self.cost[self.pad :, length] = self.chosen(
                choice, length, self.cost[self.pad - 1 : -1], self.cost[self.pad :]
            )
        self.choice[0, 2:] = -1

    def taped(self, length: int) -> NDArray[np.float64]:
        """Return the weighted cost of recording the first leaf and keeping its tape."""
        return 1 + self.weighted[: self.num_rows, -length]

    def chosen(
        self,
        choice: NDArray[np.int32],
        length: int,
        right: NDArray[np.float64],
        left: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the cost of the choices for one length, without weights and therefore exact."""
        rows = np.arange(self.num_rows)
        split = choice + right[rows, length - choice] + left[rows, choice]
        return np.where(choice, split, 1 + self.cost[: self.num_rows, length - 1])


class _FromFile:
    """The costs of reversing from a live state that is in the file as well."""

    def __init__(self, memory: _FromMemory, unreached: float, reread: float) -> None:
        leaves = memory.cost.shape[1] - 1
        right_cost, right = memory.cost[memory.pad :], memory.weighted[memory.pad :]
        self.cost = np.full_like(right_cost, np.inf)
        self.choice = np.zeros_like(memory.choice)
        again = np.full_like(self.cost, np.inf)
        """Like `from_slot` of `_FromMemory`, for a first state that is read from the file."""
        self.cost[:, 0] = 0.0
        self.cost[:, 1] = unreached
        again[:, 1] = 1 + unreached + TIE_BREAK
        for length in range(2, leaves + 1):
            taped = memory.taped(length)
            split, choice = _best_split(right[:, leaves - length + 1 :], again[:, :length])
            split += reread
            choice[taped <= split] = 0
            again[:, length] = np.minimum(taped, split) + (length + TIE_BREAK)
            self.choice[:, length] = choice
            self.cost[:, length] = memory.chosen(choice, length, right_cost, self.cost)
            self.cost[choice > 0, length] += reread


def _best_split(
    right: NDArray[np.float64], left: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return for every row the least cost of advancing first, and the leaves to advance over.

    Column `i` of `left`, from 1 on, and column ``i - 1`` of `right` are for advancing over `i`
    leaves.
    """
    length = left.shape[1]
    tried = right[:, : length - 1] + left[:, 1:]
    best = tried.argmin(axis=1)
    return tried[np.arange(len(tried)), best], (best + 1).astype(np.int32)


def require_tape(tape_slots: int, unreached: float) -> None:
    """Raise `ScheduleError` if the slots of a tape, or the cost of a leaf, are out of range."""
    if index(tape_slots) < 1:
        raise ScheduleError(f"tape_slots is {tape_slots}: a tape takes at least one slot")
    if not 0 <= unreached <= 1:
        raise ScheduleError(
            f"unreached is {unreached}: it is 0 where the last step of a leaf need not be taken, "
            "1 where it must, or between"
        )
