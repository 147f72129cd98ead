"""Reversal with states kept in several tiers, by brute force: nothing is assumed of where they go.

Two formulations, which share nothing with each other but the costs: advancing a step costs 1,
recording and pulling back costs nothing, and a state in tier k costs ``write[k]`` and ``read[k]``.
"""

import heapq
from functools import cache
from itertools import count


def cheapest_stack(steps, tiers):
    """Return the least cost where the newest state kept is the next to be used up.

    `tiers` are (capacity, write, read), memory among them. Any state may go to any tier, whatever
    tiers the states before it are in, and may go to another one whenever it is live.
    """
    _capacities, write, read = zip(*tiers, strict=True)

    @cache
    def live(length, free):
        if length == 1:
            return 0
        return min(
            (write[k] + kept(length, taken(free, k), k) for k in range(len(tiers)) if free[k]),
            default=float("inf"),
        )

    @cache
    def kept(length, free, k):
        # no other place: otherwise it is given up, and live(length, free with one more) does it
        best = live(length, taken(free, k, -1)) if length == 1 else float("inf")
        for split in range(1, length):
            right = split + live(length - split, free)
            best = min(best, right + read[k] + released(split, free, k))
        return best

    @cache
    def released(length, free, k):
        return min(kept(length, free, k), live(length, taken(free, k, -1)))

    return live(steps, tuple(tier[0] for tier in tiers))


def taken(free, k, places=1):
    return (*free[:k], free[k] - places, *free[k + 1 :])


def cheapest_of_all(steps, tiers):
    """Return the least cost of all sequences of actions: a shortest path through a machine.

    Each state may be in several tiers at once, and be given up at any time. For a few steps only.
    """
    order = count()
    start = (0, steps + 1, frozenset())  # live state, where the adjoint is, (step, tier) kept
    queue = [(0, next(order), start)]
    done = set()
    while queue:
        cost, _, node = heapq.heappop(queue)
        if node in done:
            continue
        done.add(node)
        if node[1] == 0:
            return cost
        for more, reached in _moves(node, steps, tiers):
            if reached not in done:
                heapq.heappush(queue, (cost + more, next(order), reached))
    raise AssertionError("there is no way")


def _moves(node, steps, tiers):
    live, adjoint, kept = node
    if live is not None:
        if live == adjoint - 1:
            yield 0, (None, live, frozenset(place for place in kept if place[0] < live))
        if live == steps - 1 and adjoint > steps:  # record the last step, turn, pull back
            yield 0, (None, live, frozenset(place for place in kept if place[0] < live))
        if live < min(adjoint, steps) - 1:
            yield 1, (live + 1, adjoint, kept)
        for k, (capacity, write, _read) in enumerate(tiers):
            if (live, k) not in kept and sum(tier == k for _, tier in kept) < capacity:
                yield write, (live, adjoint, kept | {(live, k)})
    for step, k in kept:
        yield tiers[k][2], (step, adjoint, kept)
        yield 0, (live, adjoint, kept - {(step, k)})
