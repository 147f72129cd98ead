"""Tapes are kept like snapshots: a leaf whose tape is kept is not taken again to be pulled back.

Maddison (2024, "Step-based checkpointing with high-level algorithmic differentiation",
doi:10.1016/j.jocs.2024.102405) calls such schedules mixed, and finds the best by dynamic
programming for tapes as large as states. Here a tape may take any number of slots, and what is
reversed at once may be a leaf that need not be taken to its end; `adjoint.schedules.mixed_table`
has the recursion, and `adjoint.schedules.mixed_closed_form` its solution where there is one.

The schedule advances as few steps as possible, at any length,

- where a tape takes one slot, or where so many that none fits, whatever `unreached` is;
- where `unreached` is 1 or 0. With 0, to keep the state before a leaf is as good as its tape.

Otherwise it does so up to 2000 leaves, or as many as a table of 400 000 entries has room for. A
longer run is split from the top as if `unreached` were 1, until a piece is in the table. Of 375
runs of 2100 to 5000 leaves none then took 0.6 % more than the fewest steps; on average it was
0.02 %.

Small pieces follow a table even where there is a closed form. It is quicker, and it prefers, of the
schedules that advance as few steps, those with the fewest `Store` and `Restore` actions.
"""

from collections.abc import Generator, Iterator
from functools import cached_property
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import (
    Action,
    Advance,
    Discard,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
)
from adjoint.schedules.mixed_closed_form import fewest_steps, split
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.revolve import minimal_advances

__all__ = ["Mixed", "mixed_steps"]

_MAX_LEAVES = 2000
_MAX_ENTRIES = 400_000
"""The largest table where nothing else gives the best choice: built within half a second."""
_QUICK_LEAVES = 256
_QUICK_SLOTS = 64
"""The largest table where the closed form does: built within some milliseconds."""


class Mixed:
    """Reverse a run within a number of slots that hold states and tapes.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state and the tape of one leaf. At least 1,
        unless the run is a single leaf. More than are of use are left out.
    tape_slots
        Slots that the tape of a leaf takes if it is kept while others are recorded, at least 1.
    leaf_steps
        Steps that are recorded and pulled back together. The last leaf may be shorter, and is
        priced like any other.
    unreached
        What it costs to record a leaf whose end is not needed, in units of advancing over a leaf:
        between 0 and 1. For leaves of L steps, the last of which need not be taken, ``1 - 1/L``.

    Raises
    ------
    ScheduleError
        No slot for more than one leaf, or a number that is out of its range.
    """

    def __init__(
        self,
        num_steps: int,
        num_slots: int,
        tape_slots: int,
        *,
        leaf_steps: int = 1,
        unreached: float = 1.0,
    ) -> None:
        self._leaves = num_leaves(num_steps, leaf_steps)
        self._choices = _Choices(self._leaves, num_slots, tape_slots, unreached)
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        self.file_states = 0

    @property
    def num_slots(self) -> int:
        return self._most_in_use[0]

    @property
    def num_tapes(self) -> int:
        return self._most_in_use[1]

    @property
    def tape_slots(self) -> int:
        return self._choices.tape_slots if self.num_tapes > 1 else 0

    @cached_property
    def _most_in_use(self) -> tuple[int, int]:
        return _most_in_use(self._choices, self._leaves)

    def __repr__(self) -> str:
        choices = self._choices
        return (
            f"Mixed(num_steps={self.num_steps}, num_slots={choices.slots}, "
            f"tape_slots={choices.tape_slots}, leaf_steps={self.leaf_steps}, "
            f"unreached={choices.unreached})"
        )

    def __iter__(self) -> Iterator[Action]:
        # (step, slots for what is right of it, its own included) of a state, or (step, None) where
        # the tapes of all leaves from there to the next that is kept, or to the adjoint, are kept
        kept: list[tuple[int, int | None]] = []
        stop = yield from self._go_right(0, self._choices.slots, self.num_steps, kept, turn=True)
        while kept:
            step, slots = kept.pop()
            if slots is None:
                for start in range(stop - self.leaf_steps, step - 1, -self.leaf_steps):
                    yield PullBack(start, start + self.leaf_steps)
                stop = step
            else:
                stop = yield from self._go_right(step, slots, stop, kept, turn=False)

    def _go_right(
        self, step: int, slots: int, stop: int, kept: list[tuple[int, int | None]], *, turn: bool
    ) -> Generator[Action, None, int]:
        """Go from a state to the last leaf before `stop`, reverse that, and return its start.

        With `turn` the state is live and in no slot, otherwise it is in a slot and not live.
        """
        leaf, choose = self.leaf_steps, self._choices.choose
        length = num_leaves(stop - step, leaf)
        choice = choose(length, slots)
        stored = not turn
        if stored:
            yield Restore(step, keep=bool(choice))
            if not choice:
                yield Discard(step, Tier.MEMORY)
        while length > 1:
            if choice:
                if not stored:
                    yield Store(step)
                kept.append((step, slots))
                yield Advance(step, step := step + choice * leaf)
                length -= choice
                slots -= 1
            else:
                if not kept or kept[-1][1] is not None:
                    kept.append((step, None))
                yield Record(step, step := step + leaf)
                length -= 1
                slots -= self._choices.tape_slots
            stored = False
            choice = choose(length, slots)
        yield Record(step, stop, reach_stop=turn)
        if turn:
            yield Turn()
        yield PullBack(step, stop)
        return step


def mixed_steps(
    num_steps: int,
    num_slots: int,
    tape_slots: int,
    *,
    leaf_steps: int = 1,
    unreached: float = 1.0,
) -> float:
    """Return what all steps forward of a `Mixed` come to, in leaves; not played.

    `Advance` and `Record` actions alike, each leaf counted as 1, or as `unreached` where it is
    recorded and its end is not needed. The end of the run always is. Where `unreached` is 0 or 1
    it is an integer, and exact.

    Raises
    ------
    ScheduleError
        As `Mixed` does.
    """
    leaves = num_leaves(num_steps, leaf_steps)
    choices = _Choices(leaves, num_slots, tape_slots, unreached)
    return choices.cost(leaves) + (1 - choices.unreached)


class _Choices:
    """What to do first with the leaves of a piece."""

    def __init__(self, leaves: int, num_slots: int, tape_slots: int, unreached: float) -> None:
        if index(num_slots) < 0 or (num_slots == 0 and leaves > 1):
            raise ScheduleError(
                f"num_slots is {num_slots}: reversing {leaves} leaves takes at least "
                f"{min(leaves - 1, 1)}; without a slot only a single leaf can be reversed"
            )
        if index(tape_slots) < 1:
            raise ScheduleError(f"tape_slots is {tape_slots}: a tape takes at least one slot")
        if not 0 <= unreached <= 1:
            raise ScheduleError(
                f"unreached is {unreached}: it is 0 where the last step of a leaf need not be "
                f"taken, 1 where it must, or between"
            )
        self.tape_slots = index(tape_slots)
        self.slots = min(index(num_slots), self.tape_slots * (leaves - 1))
        # integers as far as they go: then steps are counted exactly
        self.unreached = int(unreached) if unreached in {0, 1} else float(unreached)
        self._solved = unreached in {0, 1} or self.tape_slots == 1 or self.tape_slots > self.slots
        self._split_tape_slots = self.tape_slots if unreached else self.slots + 1
        if self._solved:
            self._table_slots = min(self.slots, _QUICK_SLOTS)
            self._table_leaves = min(leaves, _QUICK_LEAVES)
        else:
            self._table_slots = min(self.slots, _MAX_LEAVES)
            room = _MAX_ENTRIES // (self._table_slots + 1)
            self._table_leaves = min(leaves, _MAX_LEAVES, room)

    def choose(self, leaves: int, slots: int) -> int:
        """Return 0 to record the first leaf and keep its tape, j > 0 to advance over j leaves.

        A single leaf is recorded.
        """
        if leaves <= slots // self.tape_slots + 1:
            return 0
        if leaves <= self._table_leaves and slots <= self._table_slots:
            return self._decisions[slots][leaves]
        return split(leaves, slots, self._split_tape_slots)

    def cost(self, leaves: int) -> float:
        """Return what reversing the leaves costs, the first state being live."""
        if not self._solved:
            return self._tabulated_cost(leaves)
        advances = minimal_advances(leaves, self.slots)
        at_once = fewest_steps(leaves, self.slots, self.tape_slots) - advances
        return advances + self.unreached * at_once

    @cached_property
    def _table(self) -> TapeTable:
        return TapeTable(
            self._table_leaves,
            self._table_slots,
            tape_slots=self.tape_slots,
            unreached=self.unreached,
        )

    @cached_property
    def _decisions(self) -> list[list[int]]:
        return self._table.decisions

    def _tabulated_cost(self, leaves: int) -> float:
        """Return the same where there is only the table, and the splits above it."""
        costs: dict[tuple[int, int], float] = {}
        todo = [(leaves, self.slots)]
        while todo:
            length, slots = piece = todo[-1]
            choice = self.choose(length, slots)
            right, left = (length - choice, slots - 1), (choice, slots)
            if choice == 0 and length <= slots // self.tape_slots + 1:
                costs[piece] = length - 1 + self.unreached
            elif slots < self.tape_slots:
                costs[piece] = minimal_advances(length, slots) + self.unreached * length
            elif length <= self._table_leaves and slots <= self._table_slots:
                costs[piece] = self._table.cost(length, slots)
            elif right in costs and left in costs:
                costs[piece] = choice + costs[right] + costs[left]
            else:
                todo += [part for part in (right, left) if part not in costs]
                continue
            todo.pop()
        return costs[leaves, self.slots]


def _most_in_use(choices: _Choices, leaves: int) -> tuple[int, int]:
    """Return the most slots in use at once, and the most tapes alive, without playing.

    A piece is begun when as many slots are in use as it has less than the run. It is looked at
    once, however often it comes up, and only until all slots and tapes that there can be are found
    in use: after a few pieces, as a rule.
    """
    num_slots, tape_slots = choices.slots, choices.tape_slots
    most_slots, most_tapes = 0, 1
    todo = [(leaves, num_slots, 0)]
    seen: set[tuple[int, int, int]] = set()
    while todo and (most_slots < num_slots or most_tapes < 1 + num_slots // tape_slots):
        piece = length, slots, tapes = todo.pop()
        if piece in seen:
            continue
        seen.add(piece)
        choice = choices.choose(length, slots)
        if choice:
            # with one slot, leaves are left one by one: go on where they are few at once
            left = choice if slots > 1 else 1 + slots // tape_slots
            todo += [(length - choice, slots - 1, tapes), (left, slots, tapes)]
        elif length <= slots // tape_slots + 1:
            most_slots = max(most_slots, num_slots - slots + tape_slots * (length - 1))
            most_tapes = max(most_tapes, tapes + length)
        else:
            todo.append((length - 1, slots - tape_slots, tapes + 1))
    return most_slots, most_tapes
