"""What an evaluation is predicted to take, worked out within milliseconds however long it is."""

import math
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import islice

from adjoint.planning.case import Case
from adjoint.planning.spilling_rehearsals import rehearse
from adjoint.planning.tapes import tapes_in_file_seconds
from adjoint.schedules import (
    DiskRevolve,
    Mixed,
    Revolve,
    Schedule,
    Spilling,
    StoreAll,
    TapesInFile,
)
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

__all__ = ["Prediction", "predicted_seconds"]

MAX_PLAYED_ACTIONS = 5_000
"""Actions that are played of a schedule without closed form, at some 4 microseconds each: 20
milliseconds, which go unnoticed where a report is printed."""

MAX_REHEARSED_ACTIONS = 50_000
"""Actions of the rehearsal of a spilling stack, at some 2 microseconds each: a run of 3,000 leaves,
the longest that is rehearsed as a whole, has some 20,000."""

MAX_RELATIVE_ERROR = 0.1
"""Where an extrapolation may be further off than this, nothing is predicted."""


@dataclass(slots=True)
class Prediction:
    """What playing a schedule takes on some costs, worked out when it is first asked for."""

    schedule: Schedule
    costs: Costs | None
    """None where nothing was measured."""
    known_seconds: float | None = None
    """The answer, if it is known already."""

    @property
    def seconds(self) -> float:
        """The answer; nan where costs or the number of steps are not known."""
        if self.known_seconds is None:
            if self.costs is None or self.schedule.num_steps is None:
                self.known_seconds = math.nan
            else:
                self.known_seconds = predicted_seconds(self.schedule, self.costs)
        return self.known_seconds


@singledispatch
def predicted_seconds(schedule: Schedule, costs: Costs) -> float:
    """Return what playing a schedule of known length takes; nan where that is not known.

    In closed form where there is one. A spilling stack is rehearsed as if it had been made for
    these costs, of a long run the end; any other schedule is played if it is short, else nothing is
    predicted. So the work does not grow with the number of steps.
    """
    actions = list(islice(schedule, MAX_PLAYED_ACTIONS + 1))
    return price(actions, costs).makespan if len(actions) <= MAX_PLAYED_ACTIONS else math.nan


@predicted_seconds.register
def _(schedule: StoreAll | Revolve | Mixed, costs: Costs) -> float:
    return _case(schedule, costs).seconds


@predicted_seconds.register
def _(schedule: DiskRevolve, costs: Costs) -> float:
    return _case(schedule, costs).disk_seconds(schedule)


@predicted_seconds.register
def _(schedule: Spilling, costs: Costs) -> float:
    other = replace(schedule, costs=costs)
    estimate = rehearse(other, schedule.tapes, max_actions=MAX_REHEARSED_ACTIONS)
    believed = estimate.seconds < math.inf and estimate.relative_error <= MAX_RELATIVE_ERROR
    return estimate.seconds if believed else math.nan


@predicted_seconds.register
def _(schedule: TapesInFile, costs: Costs) -> float:
    return tapes_in_file_seconds(schedule, costs)


def _case(schedule: Schedule, costs: Costs) -> Case:
    """Return the run that a schedule in memory is the best one of, or DiskRevolve is for."""
    assert schedule.num_steps is not None
    tape = schedule.tape_slots if schedule.num_tapes > 1 else 0
    return Case(schedule.num_steps, schedule.leaf_steps, schedule.num_slots, 0, tape, costs)
