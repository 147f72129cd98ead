"""The cheapest reversal, by a search over everything that a machine with slots can do.

No recursion over pieces is assumed: any state may be kept and discarded at any time, and any leaf
recorded at any time. A node is the contents of the machine; Dijkstra's algorithm finds the path.
"""

from fractions import Fraction
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple


class Machine(NamedTuple):
    leaves: int
    slots: int
    tape_slots: int
    unreached: Fraction
    in_file: frozenset

    def has_room(self, states, tapes):
        return len(states) + self.tape_slots * max(0, len(tapes) - 1) <= self.slots


class Node(NamedTuple):
    adjoint: int | None  # None: not yet begun
    live: int | None
    states: frozenset
    tapes: frozenset


def cheapest(leaves, slots, tape_slots, unreached, *, initial_in_file=False):
    """Return (steps, stores and restores) of the reversal with the fewest steps, then actions.

    Kept states take a slot each, and kept tapes beyond the first `tape_slots` each. A step costs 1.
    Recording a leaf that is pulled back at once costs `unreached`, except for the last one. With
    `initial_in_file`, state 0 can be read from the file at any time, which counts as a restore.
    Return None if there is no reversal.
    """
    in_file = frozenset([0] if initial_in_file else [])
    machine = Machine(leaves, slots, tape_slots, Fraction(unreached), in_file)
    start = Node(None, 0, frozenset(), frozenset())
    best = {start: (0, 0)}
    serial = count()
    todo = [((0, 0), next(serial), start)]
    while todo:
        price, _, node = heappop(todo)
        if price > best[node]:
            continue
        if node.adjoint == 0:
            return price
        for steps, kept, following in (*keeping(machine, node), *computing(machine, node)):
            reached = (price[0] + steps, price[1] + kept)
            if following not in best or reached < best[following]:
                best[following] = reached
                heappush(todo, (reached, next(serial), following))
    return None


def keeping(machine, node):
    """Give (steps, stores and restores, next node) of all actions that take no step."""
    for state in node.states:
        yield 0, 0, node._replace(states=node.states - {state})
    for state in node.states | machine.in_file:
        yield 0, 1, node._replace(live=state)
    stored = node.states | {node.live}
    if node.live is not None and machine.has_room(stored, node.tapes):
        yield 0, 1, node._replace(states=stored)


def computing(machine, node):
    """Give the same of all actions that move the live state or the adjoint."""
    adjoint, live, _states, tapes = node
    if adjoint is not None and adjoint - 1 in tapes:
        yield 0, 0, node._replace(adjoint=adjoint - 1, live=None, tapes=tapes - {adjoint - 1})
    if adjoint is None and live == machine.leaves:
        yield 0, 0, node._replace(adjoint=live)
    end = machine.leaves if adjoint is None else adjoint
    if live is None or live >= end:
        return
    yield 1, 0, node._replace(live=live + 1)
    recorded = tapes | {live}
    if machine.has_room(node.states, recorded):
        yield 1, 0, node._replace(live=live + 1, tapes=recorded)
        if live + 1 == adjoint:
            yield machine.unreached, 0, node._replace(adjoint=live, live=None)
