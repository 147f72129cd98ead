"""When each action of a schedule runs on the simulated machine of `adjoint.replay`.

The times are those of `adjoint.replay.price`: the same machine plays the same actions, within the
slots that the schedule declares.
"""

from collections.abc import Iterable

from adjoint.errors import ScheduleError
from adjoint.schedules import Schedule
from adjoint.schedules.actions import Action, Cancel, Discard, Offload, Prefetch, Store, Tier
from adjoint.schedules.clock import Transfer, VirtualClock
from adjoint.schedules.costs import Costs
from adjoint.simulation.machine import Limits, Machine, WrongActionError
from adjoint.simulation.timeline import (
    IN_FILE,
    IN_MEMORY,
    READ,
    WRITE,
    EventLog,
    Timeline,
    Track,
    steps_of,
)

__all__ = ["simulate"]


def simulate(schedule: Schedule, costs: Costs) -> Timeline:
    """Play a schedule; return its actions, transfers and snapshots, times in the unit of `costs`.

    Snapshots are events named "In memory", from the action that stores or prefetches one to its
    `Discard`, and "In file", from the `Offload`. Takes about 3 µs and 80 bytes an action.

    Raises
    ------
    ScheduleError
        The schedule does not know its number of steps, or is not a correct reversal.
    """
    if schedule.num_steps is None:
        raise ScheduleError(f"{schedule!r} does not know its number of steps: it has no timeline")
    machine = Machine(
        costs, Limits(schedule.num_steps, schedule.num_slots, tape_slots=schedule.tape_slots)
    )
    machine.clock = clock = _RecordingClock(costs)
    log = EventLog()
    kept: dict[tuple[int, int], float] = {}
    action: Action | None = None
    try:
        for action in schedule:
            steps, began = steps_of(action), clock.now
            clock.step = steps[0]
            machine.play(action)
            log.add(type(action).__name__, steps, began, clock.now)
            _follow_snapshots(action, began, clock.now, kept, log)
        machine.finish()
    except WrongActionError as wrong:
        raise ScheduleError(f"{action}: {wrong}") from None
    for transfer, step in clock.transfers.items():
        name = READ if transfer.reading else WRITE
        log.add(name, (step, step), transfer.begins, transfer.ends, Track.TRANSFERS)
    return log.timeline()


def _follow_snapshots(
    action: Action,
    began: float,
    ended: float,
    kept: dict[tuple[int, int], float],
    log: EventLog,
) -> None:
    """Update `kept`, the beginnings by step and tier; add each lifetime to the log as it ends."""
    match action:
        case Store() | Prefetch():
            kept[action.step, Tier.MEMORY] = began
        case Offload():
            kept[action.step, Tier.FILE] = began
        case Cancel():
            del kept[action.step, Tier.FILE]
        case Discard():
            name = IN_MEMORY if action.tier == Tier.MEMORY else IN_FILE
            since = kept.pop((action.step, action.tier))
            log.add(name, (action.step, action.step), since, ended, Track.SNAPSHOTS)
        case _:
            pass


class _RecordingClock(VirtualClock):
    """A clock that remembers every transfer that was not cancelled before it began."""

    def __init__(self, costs: Costs) -> None:
        super().__init__(costs)
        self.step = 0
        """The step whose state the present action handles."""
        self.transfers: dict[Transfer, int] = {}
        """Each transfer and its step."""

    def post(self, seconds: float, *, reading: bool) -> Transfer:
        transfer = super().post(seconds, reading=reading)
        self.transfers[transfer] = self.step
        return transfer

    def cancel(self, transfer: Transfer, later: Iterable[Transfer]) -> None:
        super().cancel(transfer, later)
        del self.transfers[transfer]
