"""What schedules take on given costs, in closed form: nothing is played.

Every leaf is recorded and pulled back once, whatever the schedule: schedules differ in the steps
that they advance besides, and in the states that they move. Store and restore are counted once a
leaf.
"""

import math
from functools import singledispatch

from adjoint.schedules import DiskRevolve, Mixed, Revolve, Schedule, StoreAll, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.revolve import minimal_advances
from adjoint.schedules.spilling.segments import LeafCosts

__all__ = ["closed_form_seconds", "mixed_seconds"]


@singledispatch
def closed_form_seconds(schedule: Schedule, costs: Costs) -> float:
    """Return the makespan that `adjoint.replay` has for a schedule; nan if no form is known.

    Exact to rounding, but for copies: a leaf is taken to be stored and restored once.
    """
    del schedule, costs
    return math.nan


@closed_form_seconds.register
def _(schedule: StoreAll, costs: Costs) -> float:
    advances = schedule.num_slots * schedule.leaf_steps
    return advances * costs.advance + _reversing(schedule.num_steps, schedule.leaf_steps, costs)


@closed_form_seconds.register
def _(schedule: Revolve, costs: Costs) -> float:
    n, leaf = schedule.num_steps, schedule.leaf_steps
    leaves = num_leaves(n, leaf)
    advances = leaf * minimal_advances(leaves, schedule.num_slots) if leaves > 1 else 0
    return advances * costs.advance + _reversing(n, leaf, costs)


@closed_form_seconds.register
def _(schedule: Mixed, costs: Costs) -> float:
    n, leaf, slots = schedule.num_steps, schedule.leaf_steps, schedule.num_slots
    tape_slots = schedule.tape_slots or slots + 1  # 0 if it is too large to be kept
    unreached = LeafCosts.of(costs, leaf).unreached
    steps = mixed_steps(n, slots, tape_slots, leaf_steps=leaf, unreached=unreached)
    return mixed_seconds(n, leaf, steps, costs)


@closed_form_seconds.register
def _(schedule: DiskRevolve, costs: Costs) -> float:
    tally = schedule.tally
    write, read = costs.write + costs.post, costs.read + costs.post
    seconds = tally.advances * costs.advance
    seconds += tally.writes * write + tally.reads * read
    return seconds + _reversing(schedule.num_steps, schedule.leaf_steps, costs)


def mixed_seconds(num_steps: int, leaf_steps: int, forward_leaves: float, costs: Costs) -> float:
    """Return the makespan of a `Mixed` whose forward steps are those of `forward_leaves` leaves."""
    seconds = forward_leaves * LeafCosts.of(costs, leaf_steps).advance
    seconds += num_steps * (costs.record + costs.pull_back) + costs.turn
    each_leaf = costs.driver_overhead + costs.restart_overhead + costs.store + costs.restore
    return seconds + num_leaves(num_steps, leaf_steps) * each_leaf


def _reversing(num_steps: int, leaf_steps: int, costs: Costs) -> float:
    """Return the seconds to record and pull back every leaf, the last one up to its end."""
    before = num_leaves(num_steps, leaf_steps) - 1
    seconds = before * costs.recording(leaf_steps, reach_stop=False)
    seconds += costs.recording(num_steps - before * leaf_steps, reach_stop=True)
    copies = (costs.store + costs.restore) * (before + 1)
    return seconds + num_steps * costs.pull_back + costs.turn + copies
