"""No other choice of levels that fits in slots and file transfers fewer states."""

from itertools import combinations

from stack_levels import traffic_of_levels

from adjoint.errors import ScheduleError
from adjoint.schedules import Multistage, Revolve
from adjoint.schedules.actions import Discard, Offload, Restore, Store, Tier, Wait
from adjoint.simulation.replay import price


def with_levels_in_file(actions, in_file):
    level = 0
    for action in actions:
        match action:
            case Store(step=step) if level in in_file:
                yield from (action, Offload(step), Wait(step), Discard(step, Tier.MEMORY))
                level += 1
            case Store():
                yield action
                level += 1
            case Restore(step=step) if level - 1 in in_file:
                yield Restore(step)
            case Discard(step=step):
                level -= 1
                yield Discard(step, Tier.FILE if level in in_file else Tier.MEMORY)
            case _:
                yield action


def fits(schedule, slots, in_file):
    """Return whether slots and file suffice; if not, a slot is missing."""
    try:
        price(with_levels_in_file(schedule, in_file), num_slots=slots, file_states=len(in_file))
    except ScheduleError as error:
        if "no slot is free" in str(error):
            return False
        raise
    return True


def test_every_choice_of_levels():
    for steps in (2, 5, 7, 10, 11, 16, 23, 36, 57):
        for levels in range(1, min(7, steps)):
            revolve = list(Revolve(steps, levels))
            traffic = [sum(both) for both in zip(*traffic_of_levels(revolve, levels), strict=True)]
            for slots in range(1, levels + 1):
                feasible = [
                    sum(traffic[level] for level in in_file)
                    for in_file in combinations(range(levels), levels - slots)
                    if fits(revolve, slots, in_file)
                ]
                found = price(Multistage(steps, slots, levels - slots), num_slots=slots)
                assert found.writes + found.reads == min(feasible), (steps, slots, levels)
