"""The schedule that takes over where another one cannot go on.

Most schedules can be played from their beginning only. `Spilling` can go on from anywhere, with
whatever states there are: after a kill, or when the file has lost what another schedule relies on.
"""

from adjoint.schedules.costs import Costs
from adjoint.schedules.protocol import AdaptiveSchedule, Schedule, num_leaves
from adjoint.schedules.revolve import repetitions
from adjoint.schedules.spilling.parameters import MAX_TAIL_REPEATS
from adjoint.schedules.spilling.schedule import Spilling

__all__ = ["fallback_schedule", "spilling_within"]


def fallback_schedule(schedule: Schedule, num_steps: int | None, costs: Costs) -> AdaptiveSchedule:
    """Return a schedule that can go on from anywhere in a run of another one.

    It keeps leaves on the same grid, and takes no more slots (but at least one) and no more states
    in the file. An `AdaptiveSchedule` for `num_steps` is returned as it is. `costs` are those of
    the run, for a schedule that has none of its own.
    """
    if isinstance(schedule, AdaptiveSchedule):
        if schedule.num_steps == num_steps:
            return schedule
        costs = schedule.costs
    leaf, slots, room = schedule.leaf_steps, max(1, schedule.num_slots), schedule.file_states
    if num_steps is None:
        least = _least_spacing(costs, leaf)
        return Spilling(
            None, slots, least * leaf, costs=costs, leaf_steps=leaf, max_file_states=room
        )
    return spilling_within(num_steps, slots, room, costs=costs, leaf_steps=leaf)


def spilling_within(
    num_steps: int, slots: int, file_states: int, *, costs: Costs, leaf_steps: int
) -> Spilling:
    """Return a schedule that sends states to the file as closely as costs and room allow."""
    leaf = leaf_steps
    leaves = num_leaves(num_steps, leaf)
    # Two more than the slots: the last states, and what rounding adds, come on top of those at the
    # interval.
    spaced = file_states - slots - 2
    if spaced < 1:
        return Spilling(
            num_steps,
            slots,
            float(max(leaf, num_steps)),
            costs=costs,
            leaf_steps=leaf,
            tail_slots=slots,
            tail_repeats=max(1, min(MAX_TAIL_REPEATS, repetitions(leaves, slots)) - 1),
        )
    interval = leaf * max(_least_spacing(costs, leaf), leaves / spaced)
    return Spilling(num_steps, slots, interval, costs=costs, leaf_steps=leaf, tail_repeats=0)


def _least_spacing(costs: Costs, leaf: int) -> float:
    """Return the least distance of two states, in leaves, at which no transfer delays anything."""
    forward = leaf * costs.advance
    reverse = forward + costs.recording(leaf, reach_stop=False) + leaf * costs.pull_back
    hidden = costs.write / forward if forward else 1.0
    awaited = (costs.read + forward) / reverse if reverse else 1.0
    return max(1.0, hidden, awaited)
