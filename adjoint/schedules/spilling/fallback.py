"""The schedule that takes over where another one cannot go on.

Most schedules can be played from their beginning only. `Spilling` can go on from anywhere, with
whatever states there are: after a kill, or when the file has lost what another schedule relies on.
"""

from adjoint.schedules.costs import Costs
from adjoint.schedules.protocol import Schedule, num_leaves
from adjoint.schedules.spilling.schedule import Spilling

__all__ = ["fallback_schedule"]


def fallback_schedule(schedule: Schedule, num_steps: int | None, costs: Costs) -> Spilling:
    """Return a schedule that can go on from any situation of a run of another.

    It keeps leaves on the same grid, and takes no more slots (but one at the least) and no more
    states in the file. `costs` are those of the run, if the schedule has none.
    """
    if isinstance(schedule, Spilling) and schedule.num_steps == num_steps:
        return schedule
    costs = getattr(schedule, "costs", costs)
    leaf, slots = schedule.leaf_steps, max(1, schedule.num_slots)
    room = schedule.file_states
    least = _least_spacing(costs, leaf)
    if num_steps is None:
        return Spilling(None, slots, least * leaf, costs=costs, leaf_steps=leaf, file_states=room)
    leaves = num_leaves(num_steps, leaf)
    # The last states, and what rounding leaves over, are besides those at the interval.
    spaced = room - slots - 2
    if spaced < 1:
        return Spilling(
            num_steps,
            slots,
            float(max(leaf, num_steps)),
            costs=costs,
            leaf_steps=leaf,
            tail_slots=slots,
            tail_repeats=_repeats(leaves, slots),
        )
    interval = leaf * max(least, leaves / spaced)
    return Spilling(num_steps, slots, interval, costs=costs, leaf_steps=leaf, tail_repeats=0)


def _least_spacing(costs: Costs, leaf: int) -> float:
    """Return how many leaves must lie between two states at the least, for no transfer to delay."""
    forward = leaf * costs.advance
    reverse = forward + costs.recording(leaf, reach_stop=False) + leaf * costs.pull_back
    hidden = costs.write / forward if forward else 1.0
    awaited = (costs.read + forward) / reverse if reverse else 1.0
    return max(1.0, hidden, awaited)


def _repeats(num_leaves: int, num_slots: int) -> int:
    """Return how often Revolve takes a step again at the most."""
    reached, repeats = 1, 0
    while reached < num_leaves and repeats < MOST_REPEATS:
        repeats += 1
        reached = reached * (num_slots + repeats) // repeats
    return max(1, repeats - 1)


MOST_REPEATS = 64
