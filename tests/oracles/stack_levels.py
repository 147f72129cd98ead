"""Stores and restores at each level of a stack of snapshots, counted from a stream of actions."""

from adjoint.schedules.actions import Discard, Restore, Store, Tier


def traffic_of_levels(actions, num_levels):
    """Return stores and restores at each level; the stream keeps its snapshots in one stack."""
    stack, stores, restores = [], [0] * num_levels, [0] * num_levels
    for action in actions:
        match action:
            case Store(step=step):
                stores[len(stack)] += 1
                stack.append(step)
            case Restore(step=step):
                assert stack[-1] == step
                restores[len(stack) - 1] += 1
            case Discard(step=step, tier=Tier.MEMORY):
                assert stack.pop() == step
            case _:
                pass
    return stores, restores
