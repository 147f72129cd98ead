"""When kept states are needed again, and so which slots may serve something else until then.

All times follow from the virtual clock and from what reversing takes: no rank decides anything by
when its own transfers are done. The top of the stack is needed again in `until_top` seconds, if
what is right of the live state is reversed next; what is below the top in `until_below` seconds.
"""

from math import inf

from adjoint.schedules.spilling.bookkeeping import Bookkeeping
from adjoint.schedules.spilling.entry import Entry

__all__ = ["Forecast"]

READ_MARGIN = 1.02
"""Factor by which a read is posted earlier than necessary, so that rounding never makes it late."""

PATIENCE = 1.5
"""A written state is evicted if it is not needed for this many times what reading it back takes.
Of 1, 1.5 and 3 none is best everywhere; they differ by less than one per cent on average."""


class Forecast:
    """Answers what may be evicted, and when to read; `books` says what is kept."""

    def __init__(self, books: Bookkeeping) -> None:
        self._books = books

    def available(self, until_top: float, until_below: float) -> int:
        """Return the slots that are free, or can be: negative where one is missing for a read."""
        books = self._books
        return books.free - books.reserved + self.evictable(until_top, until_below)

    def evictable(self, until_top: float, until_below: float) -> int:
        """Return the number of states that may be evicted: they are the first ones in `clean`."""
        books = self._books
        books.settle()
        clean = books.clean
        if not clean:
            return 0
        # The higher a state lies in the stack, the sooner it is needed. So the states that may not
        # be evicted are at the end of `clean`, and those below the first that may, may too.
        top = books.kept[-1]
        count = len(clean)
        if clean[-1] is top:
            if until_top >= self._long_enough(until_below - until_top):
                return count
            count -= 1
        # `above` and `below` are measured from the bottom of the stack. The bottom of the top's
        # segment, at `top.below`, is reached in `until_below` seconds.
        below = until_below + top.below
        while count:
            state = clean[count - 1]
            if below - state.above >= self._long_enough(state.above - state.below):
                return count
            count -= 1
        return 0

    def needs_no_slot(self, top: Entry, until_top: float, until_below: float) -> bool:
        """Return whether the top, which is in the file, leaves all slots to what is above it.

        So it does if it has no slot, or if its slot, which a write may still need, can be given to
        what is above it before the top is needed again.
        """
        if top.transfer is not None or not top.in_slot:
            # A transfer under way: the slot is not free now, and `available` does not count it.
            return True
        return until_top >= self._long_enough(until_below - until_top)

    def until_due(self, until_top: float, until_below: float) -> float:
        """Return the seconds until the next read must be posted; infinite if there is none."""
        books, notice = self._books, self.notice()
        absent = books.absent
        while len(absent) < 2 and books.archived.count:
            books.unarchive()
        if not absent:
            return inf
        top = books.kept[-1]
        below = until_below + top.below
        first = until_top if absent[-1] is top else below - absent[-1].above
        # The channel carries one state at a time. Where the second state is needed soon after the
        # first, the first must be read before its own time, or the second would be late.
        if len(absent) > 1:
            first = min(first, below - absent[-2].above - READ_MARGIN * books.costs.read)
        return first - notice

    def notice(self) -> float:
        """Return the seconds that a read must be posted before its state is used."""
        clock = self._books.clock
        backlog = clock.busy_until - clock.now
        return READ_MARGIN * self._books.costs.read + (backlog if backlog > 0 else 0.0)

    def _long_enough(self, segment_seconds: float) -> float:
        """Return how long a state must not be needed to be evicted.

        What is below it is read while its own segment is reversed, which takes `segment_seconds`;
        if that is too short, before: then the state itself must be read earlier by the difference.
        """
        notice = self.notice()
        wait = max(0.0, notice - segment_seconds) if self._books.has_absent else 0.0
        return PATIENCE * notice + wait
