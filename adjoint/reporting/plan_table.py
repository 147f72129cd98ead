"""What a gradient will cost, as a table: a row for each family of schedules, the fastest first.

A `PlanRequest` describes a run and the memory and disk available; `PlanTable` holds the plans that
`adjoint.planning.planner` makes for it, in figures.

Two times serve for comparison: stepping forward once, ``n u_f``, and the *ideal*, in which every
state is kept in memory and no step is taken twice except to be recorded::

    (n - 1) u_f + n u_b,    u_b = the time to reverse one step from its own state

Schedules that keep tapes can take less than the ideal.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from adjoint.errors import ArgumentError
from adjoint.measurement.touch import touch_speed
from adjoint.parallel import communicator
from adjoint.planning.budget import Budget, Room, leaf_sizes
from adjoint.planning.draft import Draft
from adjoint.planning.planner import Plan, choose, compare
from adjoint.planning.tapes import max_pieces, with_pieces
from adjoint.reporting.columns import aligned
from adjoint.schedules import Schedule, TapesInFile, describe, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price
from adjoint.storage.state_layout import bytes_in_file, bytes_in_memory
from adjoint.units import format_bytes, format_seconds

__all__ = ["PlanRequest", "PlanRow", "PlanTable"]

MAX_PLAYED_LEAVES = 20_000
"""Longer schedules are not played to count the states they move: this many take about a second."""

HEADINGS = ("", "time", "/forward", "/ideal", "memory", "file", "written", "read", "schedule")
"""The first column holds the star of the plan chosen."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A run to be reversed, and the memory and disk available; bytes are those of one rank.

    Raises
    ------
    ArgumentError
        The file has no room for a single state, or a step takes no time.
    """

    num_steps: int
    state_bytes: int
    memory_bytes: int
    """For all snapshots and tapes."""
    costs: Costs
    """In seconds."""
    tape_bytes: int | None = None
    """The tape of one step; None if it is the state before the step."""
    piece_bytes: int | None = None
    """A piece of a tape, if tapes may go to the file; None if not."""
    disk_bytes: int | None = 0
    """For the file: 0 if there is none, None if its size is not limited."""
    leaf_steps: int | None = None
    """Steps of a leaf if the stepper prescribes them; None leaves them to the planner."""

    def __post_init__(self) -> None:
        if self.disk_bytes and self.disk_bytes < self.state_bytes:
            raise ArgumentError(
                f"disk={self.disk_bytes} bytes has no room for one state of {self.state_bytes} "
                "bytes: give more, or use no file"
            )
        if self.costs.advance == 0:
            raise ArgumentError(
                "a step takes no time, which leaves nothing to plan: give its seconds"
            )

    @property
    def forward_seconds(self) -> float:
        """Time to step forward once."""
        return self.num_steps * self.costs.advance

    @property
    def ideal_seconds(self) -> float:
        """Time with every state in memory, as defined at the top of this file."""
        costs = self.costs
        reverse = costs.record + costs.unreached + costs.pull_back
        return (self.num_steps - 1) * costs.advance + self.num_steps * reverse

    @property
    def min_bytes(self) -> int:
        """The least memory that suffices: the tape of the smallest leaf, and one slot or two."""
        leaf = self.leaf_steps or 1
        has_one_leaf = num_leaves(self.num_steps, leaf) == 1
        num_slots = 0 if has_one_leaf else 1 + (self._file_states() > 0)
        return self._room([leaf], 0).needed_bytes(leaf, num_slots)

    @property
    def everything_bytes(self) -> int:
        """Size of the states before all steps."""
        return self.num_steps * self.state_bytes

    @property
    def step_tape_bytes(self) -> int:
        """The tape of one step, which may be its state."""
        return self.state_bytes if self.tape_bytes is None else self.tape_bytes

    def plans(self, memory_bytes: int) -> tuple[Plan, list[Plan]]:
        """Return the plan chosen for this much memory, and the best of each family, fastest first.

        Raises
        ------
        ArgumentError
            The memory has no room for a slot and the tape of the smallest leaf.
        """
        leaves = leaf_sizes(self.num_steps, self.leaf_steps)
        rooms = [self._room(leaves, memory_bytes)]
        budget = Budget.of(self.num_steps, memory_bytes, rooms, file_states=self._file_states())
        speed = partial(touch_speed, communicator(None))
        draft = Draft.of(self.num_steps, self.costs, budget, touch_speed=speed)
        costs, budget = draft.costs, draft.budget
        if self.piece_bytes is not None:
            costs, budget = self._with_tapes_in_file(costs, budget, self.piece_bytes)
        with_file = budget
        if not draft.file_can_pay(bytes_in_memory(self.state_bytes), is_known=False):
            with_file = replace(budget, file_states=0)
        chosen = choose(self.num_steps, costs, with_file)
        others = compare(self.num_steps, costs, budget)
        best = [chosen, *(plan for plan in others if plan.family != chosen.family)]
        return chosen, sorted(best, key=lambda plan: plan.predicted_seconds)

    def memory_of(self, schedule: Schedule) -> int:
        """Return the bytes of a schedule's slots and of the tape of one leaf."""
        leaf = min(schedule.leaf_steps, self.num_steps)
        return self._room([leaf], 0).needed_bytes(leaf, schedule.num_slots)

    def file_bytes_of(self, schedule: Schedule) -> int:
        """Return the bytes of a schedule's states and tapes in the file."""
        has_tapes = isinstance(schedule, TapesInFile)
        pieces = schedule.file_tapes * schedule.tape_pieces if has_tapes else 0
        states = schedule.file_states - pieces
        return states * self.state_bytes + pieces * (self.piece_bytes or 0)

    def _room(self, leaves: Iterable[int], memory_bytes: int) -> Room:
        slot = bytes_in_memory(self.state_bytes)
        states_too = self.tape_bytes is None

        def tape_bytes(leaf: int, kept: bool) -> int:
            if self.tape_bytes is None:  # as of `FunctionStepper`: the first state is the live one
                return (leaf - 1 + kept) * slot
            if self.piece_bytes is not None:
                return self._pieces(leaf, self.piece_bytes) * block
            return leaf * self.tape_bytes

        block = slot * states_too if self.piece_bytes is None else bytes_in_memory(self.piece_bytes)
        return Room.of(leaves, memory_bytes, slot, tape_bytes, tape_block_bytes=block)

    def _pieces(self, leaf_steps: int, piece_bytes: int) -> int:
        return max(1, -(-leaf_steps * self.step_tape_bytes // piece_bytes))

    def _with_tapes_in_file(
        self, costs: Costs, budget: Budget, piece_bytes: int
    ) -> tuple[Costs, Budget]:
        ratio = bytes_in_memory(piece_bytes) / bytes_in_memory(self.state_bytes)
        rows = bytes_in_file(self.state_bytes), bytes_in_file(piece_bytes)
        pieces = {leaf: self._pieces(leaf, piece_bytes) for leaf in budget.slots}
        most = max_pieces(self.disk_bytes, *rows) if budget.file_states else 0
        return with_pieces(costs, ratio), replace(budget, tape_pieces=pieces, file_pieces=most)

    def _file_states(self) -> int:
        if self.disk_bytes is None:
            return self.num_steps
        return self.disk_bytes // bytes_in_file(self.state_bytes)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """The best plan of one family, in figures."""

    plan: Plan
    chosen: bool
    """Whether `adjoint.gradient` would choose it."""
    over_forward: float
    """Predicted time over stepping forward once."""
    over_ideal: float
    """Predicted time over keeping every state in memory."""
    memory_bytes: int
    file_bytes: int
    states_written: int | None
    """To the file; None if the run is too long to be played."""
    states_read: int | None

    @classmethod
    def of(cls, request: PlanRequest, plan: Plan, chosen: Plan) -> "PlanRow":
        """Return the figures of a plan."""
        written, read = _transfers(plan.schedule, request.costs)
        return cls(
            plan=plan,
            chosen=plan is chosen,
            over_forward=plan.predicted_seconds / request.forward_seconds,
            over_ideal=plan.predicted_seconds / request.ideal_seconds,
            memory_bytes=request.memory_of(plan.schedule),
            file_bytes=request.file_bytes_of(plan.schedule),
            states_written=written,
            states_read=read,
        )

    def cells(self) -> tuple[str, ...]:
        """Return the figures as text, in the order of `HEADINGS`."""
        return (
            "*" if self.chosen else "",
            format_seconds(self.plan.predicted_seconds),
            f"{self.over_forward:.2f}",
            f"{self.over_ideal:.2f}",
            format_bytes(self.memory_bytes),
            format_bytes(self.file_bytes) if self.file_bytes else "-",
            _count(self.states_written),
            _count(self.states_read),
            describe(self.plan.schedule),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures in types that JSON has."""
        schedule = self.plan.schedule
        return {
            "family": self.plan.family,
            "schedule": repr(schedule),
            "chosen": self.chosen,
            "reason": self.plan.reason,
            "predicted_seconds": self.plan.predicted_seconds,
            "over_forward": self.over_forward,
            "over_ideal": self.over_ideal,
            "memory_bytes": self.memory_bytes,
            "file_bytes": self.file_bytes,
            "states_written": self.states_written,
            "states_read": self.states_read,
            "leaf_steps": schedule.leaf_steps,
            "num_slots": schedule.num_slots,
            "num_tapes": schedule.num_tapes,
            "file_states": schedule.file_states,
        }


@dataclass(frozen=True, slots=True)
class PlanTable:
    """The plans for a run, the fastest first."""

    request: PlanRequest
    rows: tuple[PlanRow, ...]

    @classmethod
    def of(cls, request: PlanRequest) -> "PlanTable":
        """Plan a run; takes well below a second for each family.

        Raises
        ------
        ArgumentError
            The memory has no room for a slot and the tape of the smallest leaf.
        """
        chosen, plans = request.plans(request.memory_bytes)
        return cls(request, tuple(PlanRow.of(request, plan, chosen) for plan in plans))

    @property
    def chosen(self) -> PlanRow:
        """The row of the plan that `adjoint.gradient` would choose."""
        return next(row for row in self.rows if row.chosen)

    def as_text(self) -> str:
        """Return the table, and below it why the plan marked with a star is chosen."""
        request, best = self.request, self.chosen.plan
        forward, ideal = map(format_seconds, (request.forward_seconds, request.ideal_seconds))
        everything = format_bytes(request.everything_bytes)
        lines = [
            *aligned([HEADINGS, *(row.cells() for row in self.rows)], left={len(HEADINGS) - 1}),
            "",
            f"* marks the plan chosen, {best.family}: {best.reason}.",
            f"Stepping forward once takes {forward}. Keeping every state would take",
            f"{everything} of memory, and {ideal} forward and back.",
        ]
        if request.disk_bytes == 0:
            lines.append("Schedules that keep states in a file are not listed: there is no file.")
        elif not any(row.file_bytes for row in self.rows):
            lines.append(
                "Schedules that keep states in the file are not listed: the memory has no slots "
                "for them, or a write takes as long as the run."
            )
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the request and its plans in types that JSON has."""
        request = self.request
        return {
            **asdict(request),
            "tape_bytes": request.step_tape_bytes,
            "forward_seconds": request.forward_seconds,
            "ideal_seconds": request.ideal_seconds,
            "everything_bytes": request.everything_bytes,
            "plans": [row.as_json() for row in self.rows],
        }


def _transfers(schedule: Schedule, costs: Costs) -> tuple[int | None, int | None]:
    if schedule.file_states == 0:
        return 0, 0
    steps = schedule.num_steps
    if steps is None or num_leaves(steps, schedule.leaf_steps) > MAX_PLAYED_LEAVES:
        return None, None
    played = price(schedule, costs, num_steps=steps)
    return played.writes, played.reads


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}" if number else "-"
