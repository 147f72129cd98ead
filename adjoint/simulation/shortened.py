"""Shorter runs of the same kind of schedule: for pictures of runs too long to be played."""

from dataclasses import replace
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from adjoint.errors import ArgumentError
from adjoint.schedules import Schedule, num_leaves

__all__ = ["HasInterval", "shortened"]

SHORTENED_INTERVALS = 12
"""Intervals of a shortened run: enough to show how one follows another."""

SHORTENED_LEAVES = 2_000
"""Leaves of a shortened run without intervals: about two to a pixel of a picture's height."""


@runtime_checkable
class HasInterval(Protocol):
    """A schedule that keeps a state every `interval` steps of the forward sweep."""

    @property
    def interval(self) -> float:
        """Steps from one such state to the next."""
        ...


def shortened(schedule: Schedule, max_actions: int) -> Schedule:
    """Return the schedule, or one like it for fewer steps if it has more than `max_actions`.

    The shorter run has a dozen intervals if the schedule has an `interval`, else 2,000 leaves, and
    half of that as often as it takes to have few enough actions. Plays up to `max_actions` of each.

    Raises
    ------
    ArgumentError
        The schedule is not a dataclass with a field `num_steps`, or refuses fewer steps, or has too
        many actions even for a single leaf.
    """
    steps, leaf = schedule.num_steps, schedule.leaf_steps
    if steps is None or not _has_more_actions(schedule, max_actions):
        return schedule
    wanted = SHORTENED_LEAVES * leaf
    if isinstance(schedule, HasInterval):
        wanted = int(SHORTENED_INTERVALS * schedule.interval)
    shorter = min(steps // 2, wanted)
    while shorter >= leaf:
        short = _with_steps(schedule, num_leaves(shorter, leaf) * leaf)
        if not _has_more_actions(short, max_actions):
            return short
        shorter //= 2
    raise ArgumentError(
        f"{schedule!r} has more than {max_actions:,} actions, however short its run"
    )


def _has_more_actions(schedule: Schedule, count: int) -> bool:
    return next(islice(schedule, count, None), None) is not None


def _with_steps(schedule: Any, num_steps: int) -> Any:
    try:
        return replace(schedule, num_steps=num_steps)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{schedule!r} is too long to be drawn and cannot be made for a shorter run: it must "
            f"be a dataclass with a field num_steps ({error})"
        ) from None
