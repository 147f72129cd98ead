"""The interface between schedules and whoever plays them, and the grid that leaves lie on.

A schedule says in what order the steps of a run are advanced, recorded and pulled back, and which
states are kept meanwhile. It is pure: arithmetic on step numbers, no arrays, no clock. Iterating
over it produces the actions one by one, so a schedule takes memory for the step numbers of its
snapshots, not for its actions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import index
from reprlib import repr as short_repr
from typing import Protocol, SupportsIndex, cast, runtime_checkable

from adjoint.errors import ArgumentError, ScheduleError
from adjoint.schedules.actions import Action
from adjoint.schedules.costs import Costs
from adjoint.units import format_count

__all__ = [
    "AdaptiveSchedule",
    "AdaptiveStream",
    "FixedStream",
    "OpenStream",
    "ResumePoint",
    "Schedule",
    "describe",
    "describe_members",
    "num_leaves",
    "require_schedule",
    "set_fields",
    "stream_of",
]


class Schedule(Protocol):
    """What to do, in what order, to reverse `num_steps` steps.

    Any object with these members is a schedule; no base class is needed. Iterating gives the
    actions; iterating again gives the same actions again, and two iterators do not disturb each
    other. Every `Record` and `PullBack` covers exactly one leaf, and leaves lie between the steps
    ``0, leaf_steps, 2 leaf_steps, …, num_steps``; the last may be shorter. No state is restored
    that is live already. In a parallel run the schedule is the same on all ranks.
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
        """The most slots in use at once, those of snapshots being written or read included.

        The live state takes none. A tape that is kept while others are recorded takes `tape_slots`
        slots; the tape of the leaf being reversed takes none.
        """
        ...

    @property
    def num_tapes(self) -> int:
        """The most tapes alive at once, that of the leaf being reversed included: 1 or more."""
        ...

    @property
    def tape_slots(self) -> int:
        """Slots that a kept tape takes. Without meaning if `num_tapes` is 1."""
        ...

    @property
    def file_states(self) -> int:
        """The most snapshots in the file at once."""
        ...

    def __iter__(self) -> Iterator[Action]:
        """Give the actions, lazily."""
        ...


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a run is to be continued: after an interruption, or after its file lost snapshots.

    No transfer is under way, and no tape is kept in memory. All steps are multiples of the
    schedule's `leaf_steps`, except for the end of the run. State 0 is in the file or in a slot;
    only if neither holds any state, it is the live one.
    """

    in_file: Sequence[int]
    """Steps of the states in the file, in ascending order."""
    live: int | None
    """Step of the live state, if the forward sweep is to be continued; no kept state is later."""
    reversed_to: int | None = None
    """Step of the adjoint, if the reverse sweep is to be continued; all kept states are earlier."""
    in_memory: Sequence[int] = ()
    """Steps of the states in slots, which stay there, in ascending order. A state may be in the
    file as well."""
    tapes: Sequence[int] = ()
    """First steps of the leaves whose tapes are in the file, in ascending order."""


class AdaptiveStream(Iterator[Action]):
    """The actions of a schedule, if they depend on what happens while they are played.

    Whoever plays a stream calls these methods between two actions, on every rank between the same
    two. A stream overrides those that concern it; the others do nothing.
    """

    awaits_num_steps: bool = False
    """Whether the stream needs `set_num_steps` to be called once the end of the run is reached."""

    def set_num_steps(self, num_steps: int) -> None:
        """Announce that the run ends at `num_steps`, where the live state now is.

        A stream that awaits the number of steps must get it before it is asked for the next
        action. Its `Advance` actions may reach beyond the end: they are carried out up to it.
        """

    def update_costs(self, costs: Costs) -> None:
        """Replace the costs that decisions are based on, from the next action on."""

    def set_capacity(self, file_states: int) -> None:
        """Announce that the file holds at most `file_states` snapshots from now on."""

    def revised(self) -> "Schedule | None":
        """Return the schedule adapted to the latest costs; None if it depends on no costs."""
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


class OpenStream(AdaptiveStream):
    """The actions of a run whose end is known once it is reached; they go forward until then."""

    awaits_num_steps = True
    _num_steps: int | None = None
    _swept = (0, 0)
    """Start and stop of the last `Advance` of the forward sweep."""

    def set_num_steps(self, num_steps: int) -> None:
        """Announce that the run ends at `num_steps`, where the live state now is.

        Raises
        ------
        ScheduleError
            The end is not within the last `Advance`, or was announced already.
        """
        start, stop = self._swept
        if self._num_steps is not None:
            raise ScheduleError(f"the run ended at step {self._num_steps}: it cannot end again")
        if not start < index(num_steps) <= stop:
            raise ScheduleError(
                f"the run cannot end at step {num_steps}: the last steps that the schedule asked "
                f"for are [{start}, {stop}); call set_num_steps as soon as the end is reached"
            )
        self._num_steps = index(num_steps)


@runtime_checkable
class AdaptiveSchedule(Schedule, Protocol):
    """A schedule that depends on costs, and that can be continued from the middle of a run.

    As with `Schedule`, any object with these members is one.
    """

    @property
    def costs(self) -> Costs:
        """Costs of steps and transfers that the schedule is based on."""
        ...

    def resume_from(self, point: ResumePoint, /) -> AdaptiveStream:
        """Return the remaining actions of a run, from `point` on.

        The states in the file may be those that another schedule has kept.
        """
        ...

    def recalibrated(
        self, costs: Costs, file_states: int, /, *, keep_ratios: bool
    ) -> "AdaptiveSchedule":
        """Return the schedule for the next evaluation, based on measured costs.

        Parameters
        ----------
        costs
            Costs measured in an evaluation with this schedule.
        file_states
            Snapshots that the file has room for.
        keep_ratios
            Whether to keep the ratios of transfers to steps that this schedule is based on, since
            they come from the same evaluation and are more exact.
        """
        ...


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
    if len(missing) >= len(MEMBERS):
        raise ArgumentError(
            f"{short_repr(value)} is not a schedule: give an object such as "
            "adjoint.schedules.Revolve(num_steps, num_slots)"
        )
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


def stream_of(schedule: Iterable[Action]) -> AdaptiveStream:
    """Return the actions of a schedule, or of any other iterable, as a stream."""
    actions = iter(schedule)
    return actions if isinstance(actions, AdaptiveStream) else FixedStream(actions)


def describe(schedule: Schedule) -> str:
    """Return a schedule in words: "Revolve, 8 slots, leaves of 4".

    They are `str(schedule)` if its class defines `__str__`, and `describe_members` otherwise.
    """
    if type(schedule).__str__ is not object.__str__:
        return str(schedule)
    return describe_members(schedule)


def describe_members(schedule: Schedule, interval: float | None = None) -> str:
    """Return in words what every schedule has, and the steps between its states in the file."""
    words = [type(schedule).__name__, format_count(schedule.num_slots, "slot")]
    if schedule.leaf_steps > 1:
        words.append(f"leaves of {schedule.leaf_steps:,}")
    if schedule.num_tapes > 1:
        words.append(f"up to {schedule.num_tapes:,} tapes kept")
    if interval is not None:
        words.append(f"interval {round(interval, 1):,}")
    if schedule.file_states:
        words.append(f"{format_count(schedule.file_states, 'state')} in the file")
    return ", ".join(words)


def num_leaves(num_steps: int, leaf_steps: int) -> int:
    """Return the number of leaves in a run of `num_steps` steps; the last may be shorter.

    Raises
    ------
    ScheduleError
        `num_steps` or `leaf_steps` is less than 1.
    TypeError
        One of the two is not an integer.
    """
    if index(num_steps) < 1:
        raise ScheduleError(f"num_steps is {num_steps}: there must be at least one step to reverse")
    if index(leaf_steps) < 1:
        raise ScheduleError(f"leaf_steps is {leaf_steps}: a leaf has at least one step")
    return -(-index(num_steps) // index(leaf_steps))


def set_fields(schedule: object, *integers: str, **values: object) -> None:
    """Set fields of a frozen dataclass in its `__post_init__`.

    The fields named in `integers` become Python integers; the others get the given values.
    """
    for name in integers:
        object.__setattr__(schedule, name, index(getattr(schedule, name)))
    for name, value in values.items():
        object.__setattr__(schedule, name, value)
