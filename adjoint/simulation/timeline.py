"""When each action of a schedule runs on the simulated machine: what a picture of it is made of.

The times are those of `adjoint.replay.price`: the same machine plays the same actions, within the
slots that the schedule says it uses.
"""

import ast
from array import array
from collections.abc import Iterable
from itertools import islice
from typing import Any

from adjoint.errors import ArgumentError, ScheduleError
from adjoint.schedules import Schedule, num_leaves
from adjoint.schedules.actions import (
    Action,
    Advance,
    Cancel,
    Discard,
    Offload,
    Prefetch,
    PullBack,
    Record,
    Store,
    Tier,
)
from adjoint.schedules.clock import Transfer, VirtualClock
from adjoint.schedules.costs import Costs
from adjoint.simulation.machine import Limits, Machine, WrongActionError

__all__ = ["Segments", "SimulatedTimeline", "short_enough"]

SHORTENED_INTERVALS = 12

SHORTENED_LEAVES = 2_000


class Segments:
    """Lines over time: from a step to another, while the clock went from a time to another.

    In the order in which they ended; 32 bytes each.
    """

    def __init__(self) -> None:
        self.starts = array("q")
        self.stops = array("q")
        self.begins = array("d")
        self.ends = array("d")

    def __len__(self) -> int:
        return len(self.starts)

    def add(self, start: int, stop: int, begins: float, ends: float) -> None:
        """Note one more."""
        self.starts.append(start)
        self.stops.append(stop)
        self.begins.append(begins)
        self.ends.append(ends)


class SimulatedTimeline:
    """What ran, was kept, and was moved, and when; times in the unit of the costs.

    Plays the whole schedule: about 4 µs an action, and 32 bytes.

    Raises
    ------
    ScheduleError
        The schedule does not know how many steps there are, or is not a correct reversal.
    """

    def __init__(self, schedule: Schedule, costs: Costs) -> None:
        if schedule.num_steps is None:
            raise ScheduleError(
                f"{schedule!r} does not know how many steps there are: nor when anything happens"
            )
        self.num_steps = schedule.num_steps
        self.advances = Segments()
        self.records = Segments()
        self.pull_backs = Segments()
        """From the later step to the earlier."""
        self.in_memory = Segments()
        """Snapshots in slots, those being written or read included. All level: start is stop."""
        self.in_file = Segments()
        """Snapshots in the file, from when their write was posted. All level."""
        self._kept: dict[tuple[int, int], float] = {}
        limits = Limits(schedule.num_steps, schedule.num_slots, tape_slots=schedule.tape_slots)
        machine = Machine(costs, limits)
        machine.clock = clock = _NotingClock(costs)
        self._play(schedule, machine, clock)
        self.writes = [(t.begins, t.ends) for t in clock.transfers if not t.reading]
        """Beginning and end of each, in order."""
        self.reads = [(t.begins, t.ends) for t in clock.transfers if t.reading]
        self.makespan = clock.now

    def _play(self, schedule: Iterable[Action], machine: Machine, clock: VirtualClock) -> None:
        computing: dict[type[Action], Segments] = {
            Advance: self.advances,
            Record: self.records,
            PullBack: self.pull_backs,
        }
        action: Action | None = None
        try:
            for action in schedule:
                began = clock.now
                machine.play(action)
                segments = computing.get(type(action))
                if segments is None:
                    self._note_kept(action, began, clock.now)
                else:
                    _add(segments, action, began, clock.now)
            machine.finish()
        except WrongActionError as wrong:
            raise ScheduleError(f"{action}: {wrong}") from None

    def _note_kept(self, action: Any, began: float, ended: float) -> None:
        match action:
            case Store() | Prefetch():
                self._kept[action.step, Tier.MEMORY] = began
            case Offload():
                self._kept[action.step, Tier.FILE] = began
            case Cancel():
                del self._kept[action.step, Tier.FILE]
            case Discard():
                since = self._kept.pop((action.step, action.tier))
                segments = self.in_memory if action.tier == Tier.MEMORY else self.in_file
                segments.add(action.step, action.step, since, ended)
            case _:
                pass


def short_enough(schedule: Schedule, most_actions: int) -> Schedule:
    """Return the schedule, or if it has more than so many actions, one of its kind that has not.

    That is for a run of a dozen intervals, if the schedule has intervals, else of 2,000 leaves;
    with the same slots, costs and whatever else `repr` tells of it.

    Raises
    ------
    ArgumentError
        It cannot be made for a shorter run.
    """
    steps, leaf = schedule.num_steps, schedule.leaf_steps
    if steps is None or not _has_more_actions_than(most_actions, schedule):
        return schedule
    interval = getattr(schedule, "interval", None)
    wanted = SHORTENED_LEAVES * leaf if interval is None else int(SHORTENED_INTERVALS * interval)
    shorter = min(steps // 2, wanted)
    while shorter >= leaf:
        short = _of_length(num_leaves(shorter, leaf) * leaf, schedule)
        if not _has_more_actions_than(most_actions, short):
            return short
        shorter //= 2
    raise ArgumentError(f"{schedule!r} has too many actions, however short it is made")


def _has_more_actions_than(most: int, schedule: Schedule) -> bool:
    """Return whether there are more than so many actions; looks at no more of them than that."""
    return next(islice(schedule, most, None), None) is not None


def _of_length(num_steps: int, schedule: Schedule) -> Schedule:
    """Make the schedule again for so many steps, from its own account of itself."""
    written = ast.parse(repr(schedule), mode="eval").body
    try:
        assert isinstance(written, ast.Call)
        given = {str(word.arg): _value(word.value) for word in written.keywords}
        return type(schedule)(**{**given, "num_steps": num_steps})
    except (AssertionError, TypeError, ValueError) as error:
        raise ArgumentError(f"{schedule!r} cannot be made for a shorter run: {error}") from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Costs":
        return Costs(**{str(word.arg): _value(word.value) for word in node.keywords})
    return ast.literal_eval(node)


class _NotingClock(VirtualClock):
    """A clock that keeps every transfer it was given and that was not taken back."""

    def __init__(self, costs: Costs) -> None:
        super().__init__(costs)
        self.transfers: list[Transfer] = []

    def post(self, seconds: float, *, reading: bool) -> Transfer:
        transfer = super().post(seconds, reading=reading)
        self.transfers.append(transfer)
        return transfer

    def cancel(self, transfer: Transfer, later: Iterable[Transfer]) -> None:
        super().cancel(transfer, later)
        self.transfers.remove(transfer)


def _add(segments: Segments, action: Any, began: float, ended: float) -> None:
    if type(action) is PullBack:
        segments.add(action.stop, action.start, began, ended)
    else:
        segments.add(action.start, action.stop, began, ended)
