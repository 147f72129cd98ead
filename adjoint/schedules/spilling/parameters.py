"""The parameters of a spilling schedule, and what follows from them alone.

`Spilling` adds the actions. The parameters are a class of their own because the streams of actions
read them, and `Spilling` makes the streams.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from operator import index
from typing import Self

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.protocol import num_leaves, set_fields
from adjoint.schedules.spilling.segments import LeafCosts
from adjoint.schedules.spilling.spacing import GRID, ForwardPlan, plan_forward

__all__ = ["TABLE_LEAVES", "SpillingParameters"]

MAX_INTERVAL = 1e300
"""Steps: no run is longer, and ``GRID`` times as much is still finite."""

MAX_RESPACING = 2.0
"""Factor by which one evaluation may widen or narrow the spacing of the next: a single measurement
may be wrong, and the next evaluation goes on from there."""

MAX_TABLE_DRIFT = 1.04
"""Factor by which the ratio of a write to a step may change before tables are made anew: that
takes up to 0.1 s."""

REREAD = 0.1
"""Share of a read's time that evicting a state is taken to cost when it is decided where tapes are
kept: reads are hidden, but each takes a slot for a while."""

MAX_TAIL_REPEATS = 64
"""Far more than ever pays; it bounds the binomials that are worked out."""

TABLE_LEAVES = 512
"""Segments of up to this many leaves are looked up in tables, which then take tens of milliseconds
to make; longer ones are split by Revolve."""

INTEGERS = (
    "num_steps",
    "num_slots",
    "leaf_steps",
    "tail_slots",
    "tail_repeats",
    "tape_slots",
    "max_file_states",
)


@dataclass(frozen=True)
class SpillingParameters(ABC):
    """The parameters of `Spilling`, where they are described; checked, and never changed."""

    num_steps: int | None
    num_slots: int
    interval: float
    _: KW_ONLY
    costs: Costs
    leaf_steps: int = 1
    tail_slots: int = 0
    tail_repeats: int = 1
    tape_slots: int = 0
    max_file_states: int | None = None

    file_states: int = field(init=False, repr=False, compare=False)
    """The most states in the file at once."""

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in INTEGERS}
        integers = {name: index(value) for name, value in given.items() if value is not None}
        set_fields(self, interval=float(self.interval), **integers)
        self._check()
        set_fields(self, file_states=self._needed_file_states())

    @abstractmethod
    def __iter__(self) -> Iterator[Action]:
        """Give the actions."""

    @property
    def num_tapes(self) -> int:
        """The most tapes alive at once, that of the leaf being reversed included."""
        return 1 + (self.num_slots // self.tape_slots if self.tape_slots else 0)

    @property
    def pitch(self) -> int:
        """The interval in leaves, in units of ``1 / GRID``, rounded up."""
        return -(-int(self.interval * GRID) // self.leaf_steps)

    def forward_plan(self, num_leaves: int, pitch: int) -> ForwardPlan:
        """Return the states that the forward sweep of a run of `num_leaves` leaves keeps."""
        return plan_forward(
            num_leaves,
            self.num_slots,
            pitch,
            tail_slots=self.tail_slots,
            tail_repeats=self.tail_repeats,
        )

    # -- other costs ---------------------------------------------------------------------------

    def respaced(self, costs: Costs, pitch: int, file_states: int) -> Self:
        """Return the schedule for other costs and another spacing.

        The spacing is widened where the file, with room for `file_states`, asks for it. Where that
        does not suffice, return this schedule.
        """
        leaves = 0 if self.num_steps is None else num_leaves(self.num_steps, self.leaf_steps)
        least = -(-leaves * GRID // max(1, file_states - 1 - self.num_slots))
        interval = max(1.0, max(pitch, least) / GRID) * self.leaf_steps
        limit = self.max_file_states if self.num_steps is None else None
        changed = replace(self, costs=costs, interval=interval, max_file_states=limit)
        return changed if changed.file_states <= file_states else self

    def recalibrated(self, costs: Costs, file_states: int, *, keep_ratios: bool) -> Self:
        """Return the schedule for the costs that an evaluation has measured.

        The spacing keeps its ratio to a write, within a factor of `MAX_RESPACING`; but it is not
        narrowed where the transfers of one state take more of the processor than a leaf does.

        Parameters
        ----------
        costs
            What the evaluation has measured, in seconds.
        file_states
            States that the file has room for.
        keep_ratios
            Keep the ratios of transfers to steps, and the spacing: this schedule was adapted while
            it was played, so its ratios are the better ones.
        """
        planned, leaf = self.costs, self.leaf_steps
        if not (planned.advance and costs.advance):
            return self
        if keep_ratios:
            unit = costs.advance / planned.advance
            scaled = replace(costs, write=unit * planned.write, read=unit * planned.read)
            return self.respaced(scaled, self.pitch, file_states)
        widening = 1.0
        if planned.write and costs.write:
            widening = costs.write / costs.advance * (planned.advance / planned.write)
        least = 1.0 if costs.disturbance > leaf * costs.advance else 1 / MAX_RESPACING
        widening = min(MAX_RESPACING, max(least, widening))
        changed = self.respaced(costs, round(widening * self.pitch), file_states)
        if max(widening, 1 / widening) < MAX_TABLE_DRIFT:
            changed.share_tapes(vars(self).get("tapes"))
        return changed

    @cached_property
    def tapes(self) -> TapeTable | None:
        """Where tapes are kept; None if none is."""
        if self.tape_slots == 0:
            return None
        leaf = LeafCosts.of(self.costs, self.leaf_steps)
        return TapeTable(
            self._within_run(TABLE_LEAVES),
            self.num_slots,
            tape_slots=self.tape_slots,
            unreached=leaf.unreached,
            reread=leaf.in_advances(REREAD * self.costs.read),
        )

    def share_tapes(self, tapes: TapeTable | None) -> None:
        """Look up a table that was made for the same costs instead of making it again."""
        if tapes is not None:
            vars(self)["tapes"] = tapes

    # -- inside --------------------------------------------------------------------------------

    def _within_run(self, leaves: int) -> int:
        if self.num_steps is None:
            return leaves
        return min(leaves, num_leaves(self.num_steps, self.leaf_steps))

    def _check(self) -> None:
        leaves = 2 if self.num_steps is None else num_leaves(self.num_steps, self.leaf_steps)
        num_leaves(1, self.leaf_steps)
        needed = min(1, leaves - 1)
        if self.num_slots < needed:
            raise ScheduleError(
                f"num_slots is {self.num_slots}: a state is written from a slot, so reversing "
                f"{leaves} leaves takes at least {needed}"
            )
        if not self.leaf_steps <= self.interval <= MAX_INTERVAL:
            raise ScheduleError(
                f"interval is {self.interval:g}: it must be at least the "
                f"{self.leaf_steps} steps of a leaf, and finite: at most {MAX_INTERVAL:g}"
            )
        ranges = {
            "tail_slots": (self.tail_slots, 0, self.num_slots),
            "tail_repeats": (self.tail_repeats, 0, MAX_TAIL_REPEATS),
            "tape_slots": (self.tape_slots, 0, max(1, self.num_slots)),
        }
        for name, (value, least, most) in ranges.items():
            if not least <= value <= most:
                raise ScheduleError(f"{name} is {value}: it must be between {least} and {most:g}")
        limit = self.max_file_states
        if limit is not None and limit < 0:
            raise ScheduleError(f"max_file_states is {limit}: it must be 0 or more, or None")
        if self.num_steps is None and (limit is None or limit < 2):
            raise ScheduleError(
                f"max_file_states is {limit}: for a run of unknown length it must be given, and at "
                "least 2"
            )

    def _needed_file_states(self) -> int:
        limit = self.max_file_states
        if self.num_steps is None:
            assert limit is not None, "checked"
            return limit
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        if leaves == 1:
            return 0
        plan = self.forward_plan(leaves, self.pitch)
        # the state of the last leaf is not kept: the leaf is recorded at once
        states = plan.file_states - (plan.tail[-1:] == ((leaves - 1, True),))
        if limit is not None and states > limit:
            least = self.num_steps / max(1, limit - 1)
            instead = f"an interval of at least {least:g} steps" if limit else "Revolve"
            raise ScheduleError(
                f"{states} states would go to the file, which may hold {limit}: take {instead}"
            )
        return states
