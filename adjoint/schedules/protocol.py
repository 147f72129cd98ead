"""The seam between who decides and who does: a `Schedule`, and the grid that leaves lie on.

A schedule says in what order the steps of a run are advanced, recorded and pulled back, and
which states are kept meanwhile. It is pure: arithmetic on step numbers, no arrays, no clock.
Whoever iterates over it gets the actions one by one as they are wanted, so a schedule takes
memory for its snapshots' step numbers, not for its actions.
"""

from collections.abc import Iterable, Iterator
from operator import index
from reprlib import repr as short_repr
from typing import Protocol, SupportsIndex, cast, runtime_checkable

from adjoint.errors import ArgumentError, ScheduleError
from adjoint.schedules.actions import Action
from adjoint.schedules.costs import Costs
from adjoint.schedules.resume_point import ResumePoint

__all__ = [
    "AdaptiveSchedule",
    "AdaptiveStream",
    "FixedStream",
    "Schedule",
    "num_leaves",
    "require_schedule",
    "stream_of",
]


class Schedule(Protocol):
    """What to do, in what order, to reverse `num_steps` steps.

    Iterating gives the actions; iterating again gives the same actions again, and two
    iterators do not disturb each other. Every `Record` and `PullBack` covers exactly one leaf,
    and leaves lie between the steps ``0, leaf_steps, 2 leaf_steps, …, num_steps``; the last may
    be shorter. No state is restored that is live already.
    """

    @property
    def num_steps(self) -> int | None:
        """Steps of the run; None if that is known only once the last one was taken."""
        ...

    @property
    def leaf_steps(self) -> int:
        """Steps that are recorded and pulled back together."""
        ...

    @property
    def num_slots(self) -> int:
        """The most snapshots in memory at once, those being written or read included.

        The live state is not among them. A tape that is kept while others are recorded counts as
        `tape_slots` snapshots; the tape of one leaf is not counted. It may be less than the
        schedule was offered.
        """
        ...

    @property
    def num_tapes(self) -> int:
        """The most tapes alive at once, that of the leaf being reversed included: 1 or more."""
        ...

    @property
    def tape_slots(self) -> int:
        """How many slots a kept tape counts for; 0 where none is kept (`num_tapes` is 1)."""
        ...

    @property
    def file_states(self) -> int:
        """The most snapshots in the file at once, those of the tiers below it included."""
        ...

    def __iter__(self) -> Iterator[Action]:
        """Give the actions, lazily."""
        ...


class AdaptiveStream(Iterator[Action]):
    """A schedule's actions where these depend on what is learnt while they are played.

    Whoever plays a stream calls these methods between two actions, and on every rank between the
    same two. A stream overrides those that it follows; the others do nothing.
    """

    awaits_num_steps: bool = False
    """Whether the stream must be told where the run ends, by `set_num_steps`."""

    def set_num_steps(self, num_steps: int) -> None:
        """Take note that the run ends at `num_steps`, where the live state now is.

        A stream that awaits it must be told before the next action is asked for. Its `Advance`
        actions may reach beyond the end: they are carried out up to it.
        """

    def update_costs(self, costs: Costs) -> None:
        """Take note of what steps and transfers cost from now on."""

    def set_capacity(self, file_states: int) -> None:
        """Take note that the file has room for so many states, more or fewer than announced."""

    def revised(self) -> "Schedule | None":
        """Return the schedule as the costs told would have it; None if it depends on no costs."""
        return None


class FixedStream(AdaptiveStream):
    """The actions of a schedule that nothing changes."""

    def __init__(self, actions: Iterator[Action]) -> None:
        self._actions = actions

    def __iter__(self) -> Iterator[Action]:  # noqa: PYI034
        """Return the actions themselves: one Python call less for each of them."""
        return self._actions

    def __next__(self) -> Action:
        return next(self._actions)


MEMBERS = tuple(name for name, member in vars(Schedule).items() if isinstance(member, property))
"""Attributes that a schedule must have."""


def require_schedule(value: object) -> Schedule:
    """Return `value`, checked to be a schedule as far as that is possible without playing it.

    Raises
    ------
    ArgumentError
        It is a class, lacks a member of `Schedule`, or has one that is not an integer.
    """
    if isinstance(value, type):
        name = value.__name__
        raise ArgumentError(f"the schedule is the class {name}: give an instance, {name}(...)")
    missing = [name for name in (*MEMBERS, "__iter__") if not hasattr(value, name)]
    if missing:
        raise ArgumentError(
            f"{short_repr(value)} is not a schedule: it lacks {', '.join(missing)}; "
            "adjoint.schedules.Schedule lists what a schedule must have"
        )
    for name in MEMBERS:
        found = getattr(value, name)
        if not isinstance(found, SupportsIndex) and (name != "num_steps" or found is not None):
            raise ArgumentError(
                f"{name} of the schedule {short_repr(value)} is {found!r}: it must be an integer"
            )
    return cast(Schedule, value)


@runtime_checkable
class AdaptiveSchedule(Schedule, Protocol):
    """A schedule that depends on costs, and that can be continued from the middle of a run."""

    @property
    def costs(self) -> Costs:
        """Costs of steps and transfers that the schedule is based on."""
        ...

    def resume_from(self, point: ResumePoint, /) -> AdaptiveStream:
        """Return the remaining actions of a run, from `point` on."""
        ...


def stream_of(schedule: Iterable[Action]) -> AdaptiveStream:
    """Return the actions of a schedule, or of any other iterable, as a stream."""
    actions = iter(schedule)
    return actions if isinstance(actions, AdaptiveStream) else FixedStream(actions)


def num_leaves(num_steps: int, leaf_steps: int) -> int:
    """Return how many leaves of `leaf_steps` steps, the last perhaps shorter, make `num_steps`.

    Raises
    ------
    ScheduleError
        There is no step, or a leaf of no step.
    TypeError
        One of the two is not an integer.
    """
    if index(num_steps) < 1:
        raise ScheduleError(f"num_steps is {num_steps}: there must be at least one step to reverse")
    if index(leaf_steps) < 1:
        raise ScheduleError(f"leaf_steps is {leaf_steps}: a leaf has at least one step")
    return -(-index(num_steps) // index(leaf_steps))
