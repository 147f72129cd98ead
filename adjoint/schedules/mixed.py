"""Mixed: keep tapes like snapshots, so that fewer leaves are taken twice.

Maddison (2024, "Step-based checkpointing with high-level algorithmic differentiation",
doi:10.1016/j.jocs.2024.102405) calls such schedules mixed, and finds the best ones by dynamic
programming for tapes as large as states. Here a tape may take any number of slots, and recording a
leaf may cost less than advancing over it if its end is not needed.
`adjoint.schedules.mixed_table` has the recursion, and `adjoint.schedules.mixed_closed_form` its
solution in closed form, where that is known.

The schedule takes the fewest steps possible, at any length,

- if a tape takes one slot, or more slots than there are, for any `unreached`;
- if `unreached` is 1 or 0. If it is 0, the state before a leaf is worth as much as its tape.

Otherwise it does so up to 256 leaves and 64 slots. Beyond, a piece is split as if `unreached` were
1, until it is in a table of that size. In 120 runs of 10 to 2000 leaves this made the reversal at
most 0.9 % longer than the fewest steps do, and 0.04 % on average.

Small pieces follow a table even where there is a closed form. That is quicker, and of the schedules
with the fewest steps it prefers those with the fewest `Store` and `Restore` actions.
"""

from collections.abc import Generator, Iterator
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, lru_cache
from operator import index

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
from adjoint.schedules.mixed_table import TapeTable, require_tape
from adjoint.schedules.protocol import num_leaves, set_fields
from adjoint.schedules.revolve import minimal_advances, require_slots

__all__ = ["Mixed", "mixed_steps"]

MAX_LEAVES, MAX_SLOTS = 256, 64
"""Size of the largest table, which is built within some milliseconds."""


@dataclass(frozen=True)
class Mixed:
    """Reverse a run within a number of slots that hold states and tapes.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state and the tape of one leaf. At least 1,
        unless the run is a single leaf. More slots than can be used are left out.
    tape_slots
        Slots that the tape of a leaf takes if it is kept while others are recorded, at least 1.
    leaf_steps
        Steps that are recorded and pulled back together. The last leaf may be shorter, but counts
        like any other.
    unreached
        Cost of recording a leaf whose end is not needed, in units of advancing over a leaf: between
        0 and 1. If only the last of the L steps of a leaf need not be taken, ``1 - 1/L``.

    Raises
    ------
    ScheduleError
        There is no slot for more than one leaf, or a number is out of range.
    """

    num_steps: int
    num_slots: int
    tape_slots: int
    _: KW_ONLY
    leaf_steps: int = 1
    unreached: float = 1.0
    _choices: "_Choices" = field(init=False, repr=False, compare=False)

    file_states = 0

    def __post_init__(self) -> None:
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        choices = _Choices(leaves, self.num_slots, self.tape_slots, self.unreached)
        set_fields(
            self,
            "num_steps",
            "leaf_steps",
            num_slots=choices.slots,
            tape_slots=choices.tape_slots,
            unreached=choices.unreached,
            _choices=choices,
        )

    @property
    def num_tapes(self) -> int:
        return self._choices.most_tapes

    def __iter__(self) -> Iterator[Action]:
        # a kept state: (step, slots for the leaves right of it, its own included); or kept tapes of
        # all leaves from a step to the next entry, or to the adjoint: (step, None)
        kept: list[tuple[int, int | None]] = []
        stop = yield from self._go_right(0, self.num_slots, self.num_steps, kept, turn=True)
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
        """Go from the state of a step to the last leaf before `stop` and reverse it.

        With `turn` the state is live and in no slot, otherwise it is in a slot and not live. Return
        the start of the leaf.
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
                slots -= self.tape_slots
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
    """Return the forward steps of a `Mixed` in units of a leaf, without playing it.

    Leaves of `Advance` and `Record` actions count 1 each, or `unreached` if the leaf is recorded
    and its end is not needed. The end of the run is always needed. If `unreached` is 0 or 1 the
    result is an exact integer.

    Raises
    ------
    ScheduleError
        As `Mixed` does.
    """
    choices = _Choices(num_leaves(num_steps, leaf_steps), num_slots, tape_slots, unreached)
    return choices.cost() + (1 - choices.unreached)


class _Choices:
    """The first action for every piece of the run."""

    def __init__(self, leaves: int, num_slots: int, tape_slots: int, unreached: float) -> None:
        require_slots(leaves, num_slots)
        require_tape(tape_slots, unreached)
        self.leaves = leaves
        self.tape_slots = index(tape_slots)
        self.slots = min(index(num_slots), self.tape_slots * (leaves - 1))
        if self.slots < self.tape_slots:  # no tape fits
            self.slots = min(self.slots, leaves - 1)
        # an integer if possible: then steps are counted exactly
        self.unreached = int(unreached) if unreached in {0, 1} else float(unreached)
        self._solved = unreached in {0, 1} or self.tape_slots == 1 or self.tape_slots > self.slots
        self._split_tape_slots = self.tape_slots if unreached else self.slots + 1
        self._table_slots = min(self.slots, MAX_SLOTS)
        self._table_leaves = min(leaves, MAX_LEAVES)

    def choose(self, leaves: int, slots: int) -> int:
        """Return 0 to record the first leaf and keep its tape, j > 0 to advance over j leaves.

        A single leaf is recorded.
        """
        if leaves <= slots // self.tape_slots + 1:
            return 0
        if leaves <= self._table_leaves and slots <= self._table_slots:
            return self._decisions[slots][leaves]
        return split(leaves, slots, self._split_tape_slots)

    def cost(self) -> float:
        """Return the cost of reversing all leaves from the live first state."""
        if not self._solved:
            return self._tabulated_cost()
        advances = minimal_advances(self.leaves, self.slots)
        at_once = fewest_steps(self.leaves, self.slots, self.tape_slots) - advances
        return advances + self.unreached * at_once

    @cached_property
    def most_tapes(self) -> int:
        """The most tapes alive at once.

        Pieces of the run are visited, each kind once, until as many tapes are found alive as fit:
        after a few pieces, as a rule.
        """
        most, tapes_that_fit = 1, 1 + self.slots // self.tape_slots
        todo = [(self.leaves, self.slots, 0)]
        seen: set[tuple[int, int, int]] = set()
        while todo and most < tapes_that_fit:
            piece = length, slots, tapes = todo.pop()
            if piece in seen:
                continue
            seen.add(piece)
            choice = self.choose(length, slots)
            if choice:
                # with one slot the left part shrinks leaf by leaf: skip to where all is recorded
                left = choice if slots > 1 else 1 + slots // self.tape_slots
                todo += [(length - choice, slots - 1, tapes), (left, slots, tapes)]
            elif length <= slots // self.tape_slots + 1:
                most = max(most, tapes + length)
            else:
                todo.append((length - 1, slots - self.tape_slots, tapes + 1))
        return most

    @property
    def _table(self) -> TapeTable:
        return _table(self._table_leaves, self._table_slots, self.tape_slots, self.unreached)

    @cached_property
    def _decisions(self) -> list[list[int]]:
        return self._table.decisions

    def _tabulated_cost(self) -> float:
        """Return the same if there is no closed form: from the table and the splits above it."""
        costs: dict[tuple[int, int], float] = {}
        todo = [(self.leaves, self.slots)]
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
        return costs[self.leaves, self.slots]


@lru_cache(maxsize=4)
def _table(leaves: int, slots: int, tape_slots: int, unreached: float) -> TapeTable:
    """Return a table, which the schedule shares with the planner that has priced it."""
    return TapeTable(leaves, slots, tape_slots=tape_slots, unreached=unreached)
