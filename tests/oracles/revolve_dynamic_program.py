"""Revolve by dynamic programming that tries every split of every length."""

import numpy as np

STORE = 2**-20
"""Weight of a store: it decides between schedules that advance equally many steps."""


def fewest(max_steps: int, max_slots: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Return {(steps, slots): (fewest advances, fewest stores of schedules that attain them)}.

    The store of the initial state is not counted.
    """
    cost = np.full((max_slots + 1, max_steps + 1), np.inf)
    cost[:, 1] = 0
    right = np.full_like(cost, np.inf)
    right[:, 1] = 0  # a single step is recorded at once: its state is not stored
    for slots in range(1, max_slots + 1):
        for steps in range(2, max_steps + 1):
            split = np.arange(1, steps)
            tried = split + right[slots - 1, steps - split] + cost[slots, split]
            cost[slots, steps] = tried.min()
        right[slots, 2:] = cost[slots, 2:] + STORE
    return {
        (steps, slots): (int(cost[slots, steps]), round(cost[slots, steps] % 1 / STORE))
        for slots in range(1, max_slots + 1)
        for steps in range(1, max_steps + 1)
    }
