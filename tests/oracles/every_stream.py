"""All streams of actions, played on `adjoint.simulation.machine`, for two to four steps.

Only streams that cannot be correct are left out, and those that reach an earlier state of the
machine at the same time or later. `exhaustive_optimum`, which leaves out much more, is compared
with this.
"""

import heapq

from adjoint.schedules.actions import (
    Action,
    Advance,
    Cancel,
    Discard,
    Offload,
    Prefetch,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
    Wait,
)
from adjoint.schedules.costs import Costs
from adjoint.simulation.machine import Limits, Machine, WrongActionError


def least_makespan(
    num_steps: int, num_slots: int, *, u_f, u_b, w, r, file_states: int, hold_tapes: bool = False
) -> float:
    """Return the least makespan of all streams.

    With `hold_tapes` other steps may be computed between the `Record` of a leaf and its `PullBack`.
    The `Record` then reaches the end of its step.
    """
    costs = Costs(advance=u_f, pull_back=u_b, write=w, read=r)
    limits = Limits(num_steps, num_slots, file_states, tape_slots=num_slots + 1)
    frontier: list[tuple[float, int, list[Action]]] = [(num_steps * u_b, 0, [])]
    found = set()
    pushed = 0
    while frontier:
        _bound, _pushed, stream = heapq.heappop(frontier)
        machine = _played(stream, Machine(costs, limits))
        if machine.adjoint == 0:
            return machine.clock.now
        if _state(machine) in found:
            continue
        found.add(_state(machine))
        for actions in _tried(machine, num_steps, hold_tapes=hold_tapes):
            longer = [*stream, *actions]
            machine = _played(longer, Machine(costs, limits))
            if machine is not None and _state(machine) not in found:
                left = num_steps if machine.adjoint is None else machine.adjoint
                pushed += 1
                heapq.heappush(frontier, (machine.clock.now + left * u_b, pushed, longer))
    raise ValueError(f"{num_steps} steps cannot be reversed with {num_slots} slots")


def _tried(machine, num_steps, *, hold_tapes):
    """Give all that may be correct: actions, or sequences that nothing may interrupt."""
    live, slots, file = machine.live, machine.slots, machine.file
    at_turn, computing = machine.adjoint is None, hold_tapes or not machine.tapes
    yield from ([Restore(step)] for step in slots | file if computing)
    yield from ([Offload(step)] for step in slots - file)
    yield from ([Prefetch(step)] for step in file - slots)
    yield from ([kind(step)] for step in machine.transfers for kind in (Wait, Cancel))
    yield from ([Discard(step, Tier.MEMORY)] for step in slots)
    yield from ([Discard(step, Tier.FILE)] for step in file)
    yield from ([PullBack(*tape)] for tape in machine.tapes)
    if at_turn and live == num_steps:
        yield [Turn()]
    if live is None or not computing:
        return
    yield [Store(live)]
    leaf = (live, live + 1)
    yield [Advance(*leaf)]
    if at_turn or hold_tapes:
        yield [Record(*leaf)]
    if not at_turn:
        yield [Record(*leaf, reach_stop=False), PullBack(*leaf)]


def _played(stream, machine):
    """Return the machine after a stream of actions, or None if the stream is wrong."""
    try:
        for action in stream:
            machine.play(action)
    except WrongActionError:
        return None
    return machine


def _state(machine):
    """Return everything that the future depends on, with times relative to now."""
    now = machine.clock.now
    under_way = [
        (step, max(t.begins - now, 0), max(t.ends - now, 0), t.begins <= now, t.frees_slot)
        for step, t in machine.transfers.items()
    ]
    return (
        machine.adjoint,
        machine.live,
        frozenset(machine.tapes),
        frozenset(machine.slots),
        frozenset(machine.file),
        tuple(under_way),
        max(machine.clock.busy_until - now, 0),
    )
