"""The recursion for tapes in slots, in exact numbers, trying every split of every length."""

from fractions import Fraction
from math import inf


def fewest(max_leaves, max_slots, tape_slots, unreached):
    """Return {(leaves, slots): (A, A_d)}: the steps from a state in memory, and from the file."""
    costs = {(1, slots): (Fraction(unreached),) * 2 for slots in range(max_slots + 1)}
    for slots in range(max_slots + 1):
        for leaves in range(2, max_leaves + 1):
            fits = slots >= tape_slots
            taped = 1 + costs[leaves - 1, slots - tape_slots][0] if fits else inf
            memory = min(
                i + costs[leaves - i, slots - 1][0] + costs[i, slots][0] if slots else inf
                for i in range(1, leaves)
            )
            file = min(
                i + costs[leaves - i, slots][0] + costs[i, slots][1] for i in range(1, leaves)
            )
            costs[leaves, slots] = (min(taped, memory), min(taped, file))
    return costs
