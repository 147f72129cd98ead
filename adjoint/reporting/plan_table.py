"""What a gradient will cost, as a table: a row for each family of schedules, the quickest first.

A `Question` is what must be known of a run: how many steps of which state, what they cost, how much
memory and disk there is. `Answer` is what `adjoint.planning.planner` makes of it, in figures.

Two times are held against each other: stepping forward once, ``n u_f``, and the *ideal*, in which
every state is kept in memory, so that no step is taken twice but to be recorded::

    (n - 1) u_f + n u_b,    u_b = what reversing a step from its own state takes

Kept tapes can go below it.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget
from adjoint.planning.planner import Plan, choose, compare
from adjoint.schedules import Schedule, describe, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price
from adjoint.units import format_bytes, format_seconds

__all__ = ["Answer", "Question", "Row"]

MOST_PLAYED_LEAVES = 20_000
"""Schedules of so few leaves are played, to count the states they move: about a second each."""


@dataclass(frozen=True, slots=True)
class Question:
    """A run, and what there is to reverse it with; bytes are those of one rank.

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
    tape_bytes: int
    """Of the tape of one step."""
    disk_bytes: int | None = 0
    """For the file: 0 without one, None for as many as are wanted."""
    leaf_steps: int | None = None
    """The leaf that the stepper insists on, if it does."""

    def __post_init__(self) -> None:
        if self.disk_bytes and self.disk_bytes < self.state_bytes:
            raise ArgumentError(
                f"disk={self.disk_bytes} bytes has no room for one state of {self.state_bytes} "
                "bytes: give more, or do without a file"
            )
        if self.costs.advance == 0:
            raise ArgumentError("a step that takes no time has nothing to plan: give its seconds")

    @property
    def forward_seconds(self) -> float:
        """Stepping forward once."""
        return self.num_steps * self.costs.advance

    @property
    def ideal_seconds(self) -> float:
        """Forward and back with every state in memory: see above."""
        costs = self.costs
        reverse = costs.record + costs.unreached + costs.pull_back
        return (self.num_steps - 1) * costs.advance + self.num_steps * reverse

    @property
    def least_bytes(self) -> int:
        """The least memory there must be: a slot, and the tape of the smallest leaf."""
        leaf = self.leaf_steps or 1
        return leaf * self.tape_bytes + min(1, num_leaves(self.num_steps, leaf) - 1) * (
            self.state_bytes
        )

    @property
    def everything_bytes(self) -> int:
        """What keeping the state before every step takes."""
        return self.num_steps * self.state_bytes

    def plans(self, memory_bytes: int) -> tuple[Plan, list[Plan]]:
        """Return the plan chosen with so much memory, and the best of each family, quickest first.

        Raises
        ------
        ArgumentError
            The memory holds no slot beside the tape of the smallest leaf.
        """
        budget = Budget.of(
            self.num_steps,
            memory_bytes=memory_bytes,
            state_bytes=self.state_bytes,
            tape_bytes=lambda steps: steps * self.tape_bytes,
            disk_bytes=self.disk_bytes,
            leaf_steps=self.leaf_steps,
        )
        costs = {self.leaf_steps or 1: self.costs}
        chosen = choose(self.num_steps, costs, budget)
        others = compare(self.num_steps, costs, budget)
        best = [chosen, *(plan for plan in others if plan.family != chosen.family)]
        return chosen, sorted(best, key=lambda plan: plan.predicted_seconds)

    def memory_of(self, schedule: Schedule) -> int:
        """Return the bytes that a schedule's slots and the tape of a leaf take."""
        leaf = min(schedule.leaf_steps, self.num_steps)
        return schedule.num_slots * self.state_bytes + leaf * self.tape_bytes


@dataclass(frozen=True, slots=True)
class Row:
    """The best plan of one family, in figures."""

    plan: Plan
    chosen: bool
    """Whether it is the one that a gradient would take."""
    over_forward: float
    """Predicted time over stepping forward once."""
    over_ideal: float
    """Predicted time over keeping every state in memory."""
    memory_bytes: int
    file_bytes: int
    states_written: int | None
    """To the file; None where the run is too long to count them by playing it."""
    states_read: int | None

    @classmethod
    def of(cls, question: Question, plan: Plan, chosen: Plan) -> "Row":
        """Return the figures of a plan."""
        written, read = _transfers(plan.schedule, question.costs)
        return cls(
            plan=plan,
            chosen=plan is chosen,
            over_forward=plan.predicted_seconds / question.forward_seconds,
            over_ideal=plan.predicted_seconds / question.ideal_seconds,
            memory_bytes=question.memory_of(plan.schedule),
            file_bytes=plan.schedule.file_states * question.state_bytes,
            states_written=written,
            states_read=read,
        )

    def cells(self) -> tuple[str, ...]:
        """Return the figures as `HEADINGS` announces them."""
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
        """Return the figures as JSON can hold them."""
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


HEADINGS = (
    "",
    "time",
    "/forward",
    "/ideal",
    "memory",
    "file",
    "written",
    "read",
    "schedule",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The plans for a question, the quickest first."""

    question: Question
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, question: Question) -> "Answer":
        """Return the answer to a question; well below a second for each family.

        Raises
        ------
        ArgumentError
            The memory holds no slot beside the tape of the smallest leaf.
        """
        chosen, plans = question.plans(question.memory_bytes)
        return cls(question, tuple(Row.of(question, plan, chosen) for plan in plans))

    @property
    def chosen(self) -> Row:
        """The row of the plan that a gradient would take."""
        return next(row for row in self.rows if row.chosen)

    def as_text(self) -> str:
        """Return the table, and below it why the plan marked with a star is the one taken."""
        question = self.question
        forward, ideal = (
            format_seconds(question.forward_seconds),
            format_seconds(question.ideal_seconds),
        )
        everything = format_bytes(question.everything_bytes)
        best = self.chosen.plan
        lines = [
            *_aligned([HEADINGS, *(row.cells() for row in self.rows)]),
            "",
            f"* is the plan taken, {best.family}: {best.reason}.",
            f"Stepping forward once takes {forward}. Keeping every state would take",
            f"{everything} of memory, and {ideal} forward and back.",
        ]
        if question.disk_bytes == 0:
            lines.append("Schedules that keep states in a file are left out: there is no file.")
        elif not any(row.file_bytes for row in self.rows):
            lines.append(
                "Schedules that keep states in the file are left out: the memory has no slots for "
                "them, or a write takes as long as the run."
            )
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return question and answer as JSON can hold them."""
        question = self.question
        return {
            **dataclasses.asdict(question),
            "forward_seconds": question.forward_seconds,
            "ideal_seconds": question.ideal_seconds,
            "everything_bytes": question.everything_bytes,
            "plans": [row.as_json() for row in self.rows],
        }


def _transfers(schedule: Schedule, costs: Costs) -> tuple[int | None, int | None]:
    if schedule.file_states == 0:
        return 0, 0
    steps = schedule.num_steps
    if steps is None or num_leaves(steps, schedule.leaf_steps) > MOST_PLAYED_LEAVES:
        return None, None
    played = price(schedule, costs, num_steps=steps)
    return played.writes, played.reads


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}" if number else "-"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines: figures to the right of their column, words to the left."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            [*(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        )
        for row in table
    ]
