"""What a spilling stack does next by the table that accounts for transfers, and what it takes."""

from math import inf

from adjoint.schedules.spilling.bookkeeping import Bookkeeping
from adjoint.schedules.spilling.entry import Entry
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["Outlook", "timed_outlook"]

Outlook = tuple[float, float, int]
"""Seconds until the top is needed again, seconds until what is below it is, and the decision: see
`TimedTable.look`."""


def timed_outlook(
    books: Bookkeeping, table: TimedTable, live: int, left: int, unit: float
) -> Outlook | None:
    """Return what to do where `left` leaves are left right of a live state; None if not tabulated.

    `unit` is what advancing over a leaf takes, in seconds.
    """
    top = books.top()
    busy = books.until_written() / unit
    if top.leaf == live:
        return _from_kept(books, table, top, left, unit, busy)
    segment = books.seconds(live - top.leaf, top)
    ahead = books.ahead(top, segment) / unit
    idle = books.clock.busy_until <= books.clock.now
    may_send = idle and books.in_file < books.max_in_file
    until, move = table.look(left, books.locked, ahead, busy=busy, may_send=may_send)
    return None if until == inf else (until * unit, until * unit + segment, move)


def _from_kept(
    books: Bookkeeping, table: TimedTable, top: Entry, left: int, unit: float, busy: float
) -> Outlook | None:
    ahead = books.ahead(top) / unit
    below, move = table.look(left, top.locked, ahead, in_file=top.in_file, busy=busy)
    if below == inf:
        return None
    if move == 0:
        return below * unit, below * unit, move
    rest, _ = table.look(abs(move), top.locked, ahead, in_file=top.in_file)
    return (below - rest) * unit, below * unit, move
