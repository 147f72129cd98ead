"""The actions of a schedule with tapes in the file, as they are decided.

What has no tape in the file, a *gap*, is reversed by `Spilling`, as if it were a run of its own.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import (
    Action,
    Advance,
    Discard,
    Offload,
    OffloadTape,
    PrefetchTape,
    PullBack,
    Record,
    Restore,
    RestoreTape,
    Store,
    Tier,
    Turn,
    Wait,
)
from adjoint.schedules.costs import Costs
from adjoint.schedules.protocol import AdaptiveStream, ResumePoint, Schedule, num_leaves
from adjoint.schedules.tapes_in_file.parameters import TapeParameters, tapes_pay

__all__ = ["TapeStream"]

STEPS = frozenset({"start", "stop", "step"})
"""Fields of actions that are steps."""


class TapeStream(AdaptiveStream):
    """One iteration over a schedule, from its beginning or from anywhere in an interrupted run."""

    def __init__(self, schedule: TapeParameters, point: ResumePoint | None = None) -> None:
        self._schedule = schedule
        self._point = ResumePoint((), 0) if point is None else point
        self._leaves = num_leaves(schedule.num_steps, schedule.leaf_steps)
        self._end = self._leaves
        """The leaves before it are still to be reversed."""
        self._lowest = self._leaves
        """The tapes from this leaf up to `_end` are in memory, or being read."""
        self._runs = _runs([step // schedule.leaf_steps for step in self._point.tapes])
        """Leaves whose tapes are in the file: first ones and ends, ascending."""
        self._states = list(self._point.in_file)
        """Steps of the states in the file, ascending."""
        self._writing: int | None = None
        """The last of them, if it was not waited for."""
        self._slot: int | None = None
        """The step of the one state in a slot: the initial state, if it is not in the file."""
        self._capacity = schedule.file_states
        self._part: AdaptiveStream | None = None
        """The actions of a gap, or of the rest of the run, while they are played."""
        self._actions = self._play()

    def __next__(self) -> Action:
        return next(self._actions)

    def update_costs(self, costs: Costs) -> None:
        """Use other costs from now on: whether more tapes go to the file depends on them."""
        self._schedule = replace(self._schedule, costs=costs)
        if self._part is not None:
            self._part.update_costs(costs)

    def set_capacity(self, file_states: int) -> None:
        """Use another number of rows of the file from now on."""
        self._capacity = file_states
        if self._part is not None:
            self._part.set_capacity(self._room)

    def revised(self) -> Schedule:
        """Return the schedule as it would be made by the costs that were announced last."""
        schedule = self._schedule
        return schedule.recalibrated(schedule.costs, self._capacity, keep_ratios=False)

    @property
    def _room(self) -> int:
        """Rows of the file that neither states nor tapes are in."""
        tapes = sum(stop - start for start, stop in self._runs)
        return max(0, self._capacity - len(self._states) - tapes * self._schedule.tape_pieces)

    @property
    def _pays(self) -> bool:
        schedule = self._schedule
        return tapes_pay(schedule.costs, schedule.leaf_steps, schedule.tape_pieces)

    def _steps(self, leaf: int) -> tuple[int, int]:
        each = self._schedule.leaf_steps
        return leaf * each, min(self._schedule.num_steps, (leaf + 1) * each)

    # -- forward ------------------------------------------------------------------------------

    def _play(self) -> Iterator[Action]:
        point, schedule = self._point, self._schedule
        for step in point.in_memory:
            if step or 0 in self._states:
                yield Discard(step, Tier.MEMORY)
            else:
                self._slot = 0
        if point.reversed_to is not None:
            self._end = self._lowest = num_leaves(max(1, point.reversed_to), schedule.leaf_steps)
            self._end *= point.reversed_to > 0
        elif point.live is None or point.live == schedule.num_steps:
            last = self._leaves - 1
            yield from self._live_at(last)
            yield from self._forward(last)
        else:
            yield from self._forward(point.live // schedule.leaf_steps)
        yield from self._reverse()

    def _forward(self, first: int) -> Iterator[Action]:
        """Record all leaves from one on, the last of which is reversed at once."""
        schedule, last = self._schedule, self._leaves - 1
        for leaf in range(first, last):
            start, stop = self._steps(leaf)
            if leaf >= schedule.file_tapes:
                yield from self._settle()
                self._lowest = min(self._lowest, leaf)
                yield Record(start, stop)
                continue
            keeps_state = leaf % schedule.state_leaves == 0 and start not in self._states
            if not (self._pays and self._room >= schedule.tape_pieces + keeps_state):
                yield from self._settle()
                yield from self._reverse_part(leaf, None)
                return
            if keeps_state:
                yield from self._settle()
                yield Store(start)
                yield Offload(start)
                self._states.append(start)
                self._writing = start
            yield Record(start, stop)
            if keeps_state:
                yield Discard(start, Tier.MEMORY)
            yield OffloadTape(start, stop)
            self._add_to_runs(leaf)
        yield from self._settle()
        start, stop = self._steps(last)
        self._lowest = min(self._lowest, last)
        yield Record(start, stop)
        yield Turn()
        yield from self._pull_back(last)

    def _add_to_runs(self, leaf: int) -> None:
        if self._runs and self._runs[-1][1] == leaf:
            self._runs[-1] = self._runs[-1][0], leaf + 1
        else:
            self._runs.append((leaf, leaf + 1))

    def _settle(self) -> Iterator[Action]:
        """Wait for the state that is being written."""
        if self._writing is not None:
            yield Wait(self._writing)
            self._writing = None

    # -- reverse ------------------------------------------------------------------------------

    def _reverse(self) -> Iterator[Action]:
        """Reverse all leaves that are left, from the last down."""
        while self._end:
            leaf = self._end - 1
            if self._runs and self._runs[-1][1] == self._end:
                yield RestoreTape(*self._steps(leaf))
                self._lowest = min(self._lowest, leaf)
            elif self._lowest > leaf:
                yield from self._reverse_gap()
                continue
            yield from self._pull_back(leaf)

    def _pull_back(self, leaf: int) -> Iterator[Action]:
        """Pull back the last leaf, whose tape is in memory."""
        yield from self._read_ahead()
        yield from self._discard_states(leaf)
        if self._runs and self._runs[-1][1] == leaf + 1:
            start, _ = self._runs.pop()
            if start < leaf:
                self._runs.append((start, leaf))
        self._end = leaf
        yield PullBack(*self._steps(leaf))

    def _read_ahead(self) -> Iterator[Action]:
        """Read the tapes of the leaves below, as many as fit."""
        while self._runs and self._end - self._lowest < self._schedule.num_tapes:
            start, stop = self._runs[-1]
            if not start < self._lowest <= stop:
                return
            self._lowest -= 1
            yield PrefetchTape(*self._steps(self._lowest))

    def _discard_states(self, leaf: int) -> Iterator[Action]:
        """Discard the states from a leaf on, which nothing needs any more."""
        start, _ = self._steps(leaf)
        while self._states and self._states[-1] >= start:
            yield Discard(self._states.pop(), Tier.FILE)
        if self._slot is not None and self._slot >= start:
            yield Discard(self._slot, Tier.MEMORY)
            self._slot = None

    # -- without tapes ------------------------------------------------------------------------

    def _reverse_gap(self) -> Iterator[Action]:
        """Reverse leaves without tape, down to one that has a tape, or to a kept state."""
        stop = self._end * self._schedule.leaf_steps
        below = [step for step in self._states if step < stop]
        first = below[-1] // self._schedule.leaf_steps if below else 0
        if self._runs:
            first = max(first, self._runs[-1][1])
        yield from self._live_at(first)
        yield from self._discard_states(first)
        yield from self._reverse_part(first, self._end)

    def _live_at(self, leaf: int) -> Iterator[Action]:
        """Make the state before a leaf live, from the last that is kept."""
        start, _ = self._steps(leaf)
        kept = [step for step in (self._slot, *self._states) if step is not None and step <= start]
        if not kept:
            raise ScheduleError(
                "the initial state is not kept: there is nothing to recompute what is left from"
            )
        yield Restore(kept[-1])
        if kept[-1] < start:
            yield Advance(kept[-1], start)

    def _reverse_part(self, first: int, end: int | None) -> Iterator[Action]:
        """Reverse the leaves from `first` on, whose state is live, up to `end`, by states alone.

        Without `end`, the run is still to be advanced to its end and turned there.
        """
        schedule = self._schedule
        start = first * schedule.leaf_steps
        stop = schedule.num_steps if end is None else self._steps(end - 1)[1]
        room = self._room if end is None else 0
        part = schedule.part(stop - start, room)
        point = ResumePoint((), None, stop - start)
        self._part = iter(part) if end is None else part.resume_from(point)
        self._part.set_capacity(room)
        for action in self._part:
            yield _shifted(action, start)
        self._part = None
        self._end = self._lowest = first


def _runs(leaves: list[int]) -> list[tuple[int, int]]:
    """Return ascending leaves as ranges."""
    runs: list[tuple[int, int]] = []
    for leaf in leaves:
        if runs and runs[-1][1] == leaf:
            runs[-1] = runs[-1][0], leaf + 1
        else:
            runs.append((leaf, leaf + 1))
    return runs


def _shifted(action: Action, by: int) -> Action:
    """Return the same action `by` steps later."""
    kind: Any = type(action)
    fields = {name: getattr(action, name) for name in kind.__slots__}
    return kind(**fields | {name: fields[name] + by for name in STEPS & fields.keys()})
