"""What a spilling stack does next by the table that reckons with transfers, and what it takes."""

from math import inf

from adjoint.schedules.spilling.bookkeeping import Bookkeeping
from adjoint.schedules.spilling.entry import Entry
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["Outlook", "timed_outlook"]

Outlook = tuple[float, float, int]
"""In how many seconds the top is needed again, in how many what is below it is, and the decision:
see `TimedTable.look`."""


def timed_outlook(
    stack: Bookkeeping, table: TimedTable, live: int, left: int, unit: float, *, has_room: bool
) -> Outlook | None:
    """Return what to do where so many leaves are left right of a live state; None if not known.

    `unit` are the seconds of an advance; `has_room` is whether the file has room for a state.
    """
    top = stack.top()
    busy = stack.until_written() / unit
    if top.leaf == live:
        return _from_kept(stack, table, top, left, unit, busy)
    piece = stack.seconds(live - top.leaf, top)
    ahead = stack.ahead(top, piece) / unit
    idle = stack.clock.busy_until <= stack.clock.now
    until, move = table.look(left, stack.locked, ahead, busy=busy, may_send=idle and has_room)
    return None if until == inf else (until * unit, until * unit + piece, move)


def _from_kept(
    stack: Bookkeeping, table: TimedTable, top: Entry, left: int, unit: float, busy: float
) -> Outlook | None:
    ahead = stack.ahead(top) / unit
    below, move = table.look(left, top.locked, ahead, in_file=top.in_file, busy=busy)
    if below == inf:
        return None
    if move == 0:
        return below * unit, below * unit, move
    rest, _move = table.look(abs(move), top.locked, ahead, in_file=top.in_file)
    return (below - rest) * unit, below * unit, move
