"""Reversal with states kept in memory or in a file, by brute force over all placements.

Two formulations, which share nothing but the costs: advancing a step costs 1, recording and pulling
back is free, and a state in place k costs ``write[k]`` and ``read[k]``.
"""

import heapq
from functools import cache
from itertools import count


def cheapest_stack(steps, places):
    """Return the least cost if the state kept last is the first to be discarded.

    `places` are (capacity, write, read) of memory and file. Any state may go to any place, wherever
    the states before it are, and may go to another one whenever it is live.
    """
    _capacities, write, read = zip(*places, strict=True)

    @cache
    def live(length, free):
        if length == 1:
            return 0
        return min(
            (write[k] + kept(length, taken(free, k), k) for k in range(len(places)) if free[k]),
            default=float("inf"),
        )

    @cache
    def kept(length, free, k):
        # in the same place; `released` moves the state to another one
        best = live(length, taken(free, k, -1)) if length == 1 else float("inf")
        for split in range(1, length):
            right = split + live(length - split, free)
            best = min(best, right + read[k] + released(split, free, k))
        return best

    @cache
    def released(length, free, k):
        return min(kept(length, free, k), live(length, taken(free, k, -1)))

    return live(steps, tuple(place[0] for place in places))


def taken(free, k, places=1):
    return (*free[:k], free[k] - places, *free[k + 1 :])


def cheapest_of_all(steps, places):
    """Return the least cost of all sequences of actions: a shortest path of a machine.

    Each state may be in several places at once, and be discarded at any time. For a few steps only.
    """
    order = count()
    start = (0, steps + 1, frozenset())  # live state, position of the adjoint, (step, place) kept
    queue = [(0, next(order), start)]
    done = set()
    while queue:
        cost, _, node = heapq.heappop(queue)
        if node in done:
            continue
        done.add(node)
        if node[1] == 0:
            return cost
        for more, reached in _moves(node, steps, places):
            if reached not in done:
                heapq.heappush(queue, (cost + more, next(order), reached))
    raise AssertionError("there is no reversal")


def _moves(node, steps, places):
    live, adjoint, kept = node
    if live is not None:
        if live == adjoint - 1:
            yield 0, (None, live, frozenset(place for place in kept if place[0] < live))
        if live == steps - 1 and adjoint > steps:  # record the last step, turn, pull back
            yield 0, (None, live, frozenset(place for place in kept if place[0] < live))
        if live < min(adjoint, steps) - 1:
            yield 1, (live + 1, adjoint, kept)
        for k, (capacity, write, _read) in enumerate(places):
            if (live, k) not in kept and sum(where == k for _, where in kept) < capacity:
                yield write, (live, adjoint, kept | {(live, k)})
    for step, k in kept:
        yield places[k][2], (step, adjoint, kept)
        yield 0, (live, adjoint, kept - {(step, k)})
