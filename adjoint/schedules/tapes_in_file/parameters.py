"""The parameters of a schedule with tapes in the file, what follows from them, and when it pays.

`TapesInFile` adds the actions.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from operator import index
from typing import Self

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action
from adjoint.schedules.costs import Costs
from adjoint.schedules.protocol import Schedule, num_leaves, set_fields
from adjoint.schedules.spilling.fallback import spilling_within
from adjoint.schedules.spilling.schedule import Spilling
from adjoint.schedules.spilling.segments import LeafCosts
from adjoint.units import format_count

__all__ = ["MAX_STATES", "TapeParameters", "leaf_seconds", "tape_pieces", "tapes_pay"]

MAX_STATES = 64
"""States that go to the file at the most. They serve when a tape is lost: then a 64th of the run is
taken again at worst."""

MIN_SPACING = 16
"""Leaves between two of them at least: a state for each tape would be one transfer more."""


def leaf_seconds(costs: Costs, leaf_steps: int, pieces: int) -> tuple[float, float]:
    """Return the time of a leaf in either sweep whose tape goes to the file, in a long run."""
    leaf = LeafCosts.of(costs, leaf_steps)
    times: list[float] = []
    for work, each, slowdown in (
        (leaf.keep, costs.piece_write, costs.slowdown),
        (leaf.pull_back, costs.piece_read, costs.read_slowdown),
    ):
        moving = pieces * each
        times.append(max(work + pieces * costs.post + (1 - 1 / slowdown) * moving, moving))
    return times[0], times[1]


def tapes_pay(costs: Costs, leaf_steps: int, pieces: int) -> bool:
    """Return whether leaves take less time if their tapes go to the file than if they are retaken.

    With states alone in the file, a leaf is advanced over once, recorded and pulled back.
    """
    leaf = LeafCosts.of(costs, leaf_steps)
    return (
        sum(leaf_seconds(costs, leaf_steps, pieces)) < leaf.advance + leaf.record + leaf.pull_back
    )


def tape_pieces(schedule: Schedule) -> int:
    """Return the rows that each tape takes that a schedule has in the file; 0 if it has none."""
    if isinstance(schedule, TapeParameters) and schedule.file_tapes:
        return schedule.tape_pieces
    return 0


@dataclass(frozen=True)
class TapeParameters(ABC):
    """The parameters of `TapesInFile`, where they are described; checked, and never changed."""

    num_steps: int
    num_slots: int
    tape_slots: int
    _: KW_ONLY
    costs: Costs
    tape_pieces: int = 1
    leaf_steps: int = 1

    num_tapes: int = field(init=False, repr=False, compare=False)
    """The most tapes in memory at once, that of the leaf being reversed included."""
    file_tapes: int = field(init=False, repr=False, compare=False)
    """The most tapes in the file at once: those of the first leaves."""
    state_leaves: int = field(init=False, repr=False, compare=False)
    """Leaves from one state in the file to the next."""
    kept_states: int = field(init=False, repr=False, compare=False)
    """The most states in the file at once."""
    file_states: int = field(init=False, repr=False, compare=False)
    """The most rows of the file in use at once: those states, and the pieces of the tapes."""

    def __post_init__(self) -> None:
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        names = ("num_steps", "num_slots", "tape_slots", "tape_pieces", "leaf_steps")
        set_fields(self, **{name: index(getattr(self, name)) for name in names})
        for name in ("tape_slots", "tape_pieces"):
            if getattr(self, name) < 1:
                raise ScheduleError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.num_slots < 1 + self.tape_slots:
            raise ScheduleError(
                f"num_slots is {self.num_slots}: a state and a tape on their way to the file take "
                f"{1 + self.tape_slots}"
            )
        kept = min(leaves - 1, (self.num_slots - 1) // self.tape_slots)
        tapes = leaves - 1 - kept
        spacing = max(MIN_SPACING, -(-tapes // MAX_STATES))
        states = -(-tapes // spacing)
        set_fields(
            self,
            num_slots=1 + max(1, kept) * self.tape_slots,
            num_tapes=1 + kept,
            file_tapes=tapes,
            state_leaves=spacing,
            kept_states=states,
            file_states=states + tapes * self.tape_pieces,
        )

    @abstractmethod
    def __iter__(self) -> Iterator[Action]:
        """Give the actions."""

    def __str__(self) -> str:
        words = [type(self).__name__, format_count(self.num_slots, "slot")]
        if self.leaf_steps > 1:
            words.append(f"leaves of {self.leaf_steps:,}")
        words.append(f"up to {self.num_tapes:,} tapes in memory")
        states = format_count(self.kept_states, "state")
        words.append(f"{format_count(self.file_tapes, 'tape')} and {states} in the file")
        return ", ".join(words)

    def recalibrated(
        self, costs: Costs, file_states: int, *, keep_ratios: bool
    ) -> "Self | Spilling":
        """Return the schedule for the costs that an evaluation has measured.

        Of states alone, if tapes do not pay any more.
        """
        planned = self.costs
        if keep_ratios and planned.advance:
            unit = costs.advance / planned.advance
            names = ("write", "read", "piece_write", "piece_read")
            costs = replace(costs, **{name: unit * getattr(planned, name) for name in names})
        changed = replace(self, costs=costs)
        if tapes_pay(costs, self.leaf_steps, self.tape_pieces) and self.file_states <= file_states:
            return changed
        return changed.of_states()

    def of_states(self) -> Spilling:
        """Return the schedule of states alone that takes its place, in as many rows of the file."""
        return self.part(self.num_steps, self.file_states)

    def part(self, num_steps: int, file_states: int) -> Spilling:
        """Return the schedule of states alone for a part of the run."""
        slots = self.num_slots - 1  # so that no more tapes are kept than `num_tapes`
        spilling = spilling_within(
            num_steps, slots, file_states, costs=self.costs, leaf_steps=self.leaf_steps
        )
        return replace(spilling, tape_slots=self.tape_slots)
