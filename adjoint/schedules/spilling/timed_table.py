"""Where to keep states and tapes if transfers take slots meanwhile: the best choice.

`TapeTable` assumes that its slots are free throughout. With a slow file and few slots they are not:
a state is read while the steps right of it are reversed, and takes a slot for as long as the read
does; so does one that is written. Here that is part of the recurrence.

Units are leaves: what advancing over one takes. Let the first state of `l` leaves be live, `k` of
`S` slots be locked by what is kept left of it, and let the next read be wanted `a` (*ahead*) after
the leaves are reversed: from `R` before that on it takes one slot. With ``H(l, k, a)`` the time to
reverse the leaves, `b` that to pull a leaf back, and `c` that to record and pull back::

    H(1, k, a) = c                                           if k slots are left at that time
    H(l, k, a) = min(1 + H(l-1, k + tape_slots, a + b) + b,
                     min_i  i + H(l-i, k+1, a + H(i, k, a)) + H(i, k, a))

The first is to keep a tape, the second to keep the state. Where the first state is in the file
there is a third, to *let it go*: its slot is freed, and it is read again by the time that it is
needed, which takes one slot during the read. The two reads must not overlap::

    D(l, k, a) = min(.., .., min_i  i + H(l-i, k, 0) + D(i, k, a))
                 where  H(l-i, k, 0) >= R  and  a + D(i, k, a) >= R

And the channel is idle during most of the reverse sweep. So where no slot is locked, the state may
be *sent* to the file on the way, too: its slot is busy until it is written, `W` later, and is freed
then. That needs H with one slot that is busy for a while from the start on. With 4 slots, tapes as
large as states, and transfers that take as long as 200 steps, sending one state of a segment saves
2 % of the whole run.

Times are tabulated in fractions of `R` and of `W`, and rounded so that a slot counts as taken for
longer, not for shorter, than it is. Rows are tabulated as far as they are of use: the more slots
are locked, the fewer leaves are left.
"""

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEND", "TimedTable"]

Floats = NDArray[np.floating[Any]]
Places = NDArray[np.intp]

SEND = 1 << 20
"""The decision to keep the state, to send it to the file, and to decide anew then."""

AHEAD_PARTS = 50
BUSY_PARTS = 20
"""Parts that the time of a read, and of a write, is divided into: memory and time of the table are
proportional to them."""

REACH = (1.0, 0.6, 0.4, 0.3)
"""Share of the leaves up to which rows are tabulated, by locked slots; the last holds for more."""

BUSY_REACH = (1.0, 0.33, 0.2, 0.1)
"""The same while a slot is busy."""

FILE_ROWS = 2
"""With fewer locked slots than this, the first state may be in the file."""

_TINY = 1e-9
"""Differences below it are rounding errors."""


class TimedTable:
    """Costs and decisions by leaves, locked slots, and when the next read is wanted.

    It is built once, in ``O(num_slots * max_leaves**2)`` NumPy operations on rows of all times: 210
    leaves and 4 slots take 0.1 s. It is immutable afterwards.

    Parameters
    ----------
    max_leaves
        The most leaves, at least 1.
    num_slots
        All slots there are, at least 1.
    tape_slots
        Slots that a kept tape takes; 0 to keep none.
    unreached
        What it costs to record a leaf whose end is not needed, in units of advancing over it.
    extra, pull_back
        Costs of keeping the tape of a leaf, beyond advancing over it, and of pulling it back.
    read, write
        Costs of transfers, in the same units; positive.
    """

    def __init__(
        self,
        max_leaves: int,
        num_slots: int,
        *,
        tape_slots: int,
        unreached: float,
        extra: float,
        pull_back: float,
        read: float,
        write: float,
    ) -> None:
        self.max_leaves = max_leaves
        self.num_slots = num_slots
        self._tape_slots = tape_slots
        self._tape = 1 + extra + pull_back
        self._pull_back = pull_back
        self._read = read
        self._write = write
        self._lay_out(unreached + extra + pull_back)
        for leaves in range(2, max_leaves + 1):
            for locked in range(num_slots, -1, -1):
                if leaves <= self._reach[min(locked, len(self._reach) - 1)]:
                    self._decide(leaves, locked)

    def look(
        self,
        leaves: int,
        locked: int,
        ahead: float,
        *,
        in_file: bool = False,
        busy: float = 0.0,
        may_send: bool = False,
    ) -> tuple[float, int]:
        """Return the time that reversing takes, and what to do first; inf if it is not tabulated.

        0 is to keep the tape of the first leaf, ``j > 0`` to keep the state and to advance over `j`
        leaves, ``j < 0`` to let it go and to advance over `-j`, `SEND` to send it first.

        Parameters
        ----------
        leaves, locked
            Leaves to reverse, and slots that are locked by what is kept left of them.
        ahead
            How long after they are reversed the next read is wanted.
        in_file
            Whether the first state is in the file.
        busy
            For how long a write still takes a slot: that of the first state if it is in the file.
        may_send
            Whether the first state may be sent to the file.
        """
        t = AHEAD_PARTS if ahead >= self._read else max(0, int(ahead / self._unit + _TINY))
        if locked > self.num_slots:
            return inf, 0
        if in_file:
            if locked >= FILE_ROWS:
                return inf, 0
            cost, choice = self._file_cost[locked], self._file_choice[locked]
            if busy > self._write / 2 and locked == 0 and leaves > 1:
                cost, choice = self._sent_cost, self._sent_choice
            return cost.item(leaves, t), choice.item(leaves, t)
        if busy > 0 and locked < len(self._busy_cost):
            s = min(BUSY_PARTS, -int(-busy / self._busy_unit // 1))
            cost, choice = self._busy_cost[locked], self._busy_choice[locked]
            u = t if locked else 0
            if leaves < cost.shape[1] and cost.item(s, leaves, u) < inf:
                return cost.item(s, leaves, u), choice.item(s, leaves, u)
        if may_send or locked:
            return self._cost[locked].item(leaves, t), self._choice[locked].item(leaves, t)
        return self._kept_cost.item(leaves, t), self._kept_choice.item(leaves, t)

    # -- inside --------------------------------------------------------------------------------

    def _lay_out(self, leaf: float) -> None:
        """Make the tables, by leaves and then by times, and fill in what a single leaf takes."""
        most, slots, parts = self.max_leaves, self.num_slots, AHEAD_PARTS + 1
        self._unit, self._busy_unit = self._read / AHEAD_PARTS, self._write / BUSY_PARTS
        self._ahead = np.arange(parts) * self._unit
        self._ahead[-1] = np.inf
        taken = self._ahead < np.inf
        self._steps = np.arange(most + 1)
        self._after_tape = self._part(self._ahead + self._pull_back)
        self._reach = [max(1, int(share * most)) for share in REACH[: slots + 1]]

        rows = (slots + 1 + max(1, self._tape_slots), most + 1, parts)
        self._cost, self._choice = np.full(rows, np.inf), np.zeros(rows, np.int32)
        locked = np.arange(slots + 1)[:, None]
        self._cost[: slots + 1, 1] = np.where(locked <= slots - taken, leaf, np.inf)
        self._file_cost, self._file_choice = self._cost[:FILE_ROWS].copy(), self._choice.copy()
        self._kept_cost, self._kept_choice = self._cost[0].copy(), self._choice[0].copy()
        self._sent_cost, self._sent_choice = self._cost[0].copy(), self._choice[0].copy()

        # For the left part of a split: its time with the advance to it, and where in the table of
        # right parts, made flat, the entry for its time ahead is.
        self._time, self._place = self._cost.copy(), np.zeros(rows, np.intp)
        self._file_time, self._file_place = self._file_cost.copy(), self._place[:FILE_ROWS].copy()
        self._again = self._file_cost.copy()
        """The time of a left part whose state is read again meanwhile; inf if there is no time."""
        for k in range(slots + 1):
            self._note(1, k)

        self._busy = np.arange(BUSY_PARTS + 1) * self._busy_unit
        self._still_busy = self._busy_part(self._busy[:, None] - self._steps)
        reach = [max(1, int(share * most)) for share in BUSY_REACH[:slots]]
        shapes = [(BUSY_PARTS + 1, far + 1, parts if k else 1) for k, far in enumerate(reach)]
        self._busy_cost = [np.full(shape, np.inf) for shape in shapes]
        self._busy_choice = [np.zeros(shape, np.int32) for shape in shapes]
        for k, cost in enumerate(self._busy_cost):
            cost[:, 1] = np.where(k + 1 <= slots - taken[: cost.shape[2]], leaf, np.inf)
            cost[0, 1] = self._cost[k, 1, : cost.shape[2]]

    def _decide(self, leaves: int, k: int) -> None:
        """Fill in the rows for `leaves` leaves and `k` locked slots; those for fewer are there."""
        taped = np.full(AHEAD_PARTS + 1, np.inf)
        if self._tape_slots:
            taped = self._tape + self._cost[k + self._tape_slots, leaves - 1, self._after_tape]
        kept, split = self._keep(leaves, k, self._time[k], self._place[k])
        self._choice[k, leaves] = np.where(taped <= kept, 0, split)
        self._cost[k, leaves] = np.minimum(taped, kept)
        if k < FILE_ROWS:
            held, split = self._keep(leaves, k, self._file_time[k], self._file_place[k])
            right = self._cost[k, leaves - 1 : 0 : -1, 0]
            gone, far = self._let_go(leaves, k, right, self._read)
            stay = np.minimum(taped, held)
            split = np.where(taped <= held, 0, split)
            self._file_choice[k, leaves] = np.where(gone < stay, -far, split)
            self._file_cost[k, leaves] = np.minimum(gone, stay)
            if k == 0:
                self._kept_cost[leaves] = self._cost[0, leaves]
                self._kept_choice[leaves] = self._choice[0, leaves]
                self._send(leaves, held, split)
        self._note(leaves, k)
        if k < len(self._busy_cost) and leaves < self._busy_cost[k].shape[1]:
            self._decide_busy(leaves, k)

    def _note(self, leaves: int, k: int) -> None:
        """Prepare a row that is filled in to be the left part of splits."""
        cost, before = self._cost[k, leaves], leaves * (AHEAD_PARTS + 1)
        self._time[k, leaves] = leaves + cost
        self._place[k, leaves] = self._part(self._ahead + cost) - before
        if k < FILE_ROWS:
            cost = self._file_cost[k, leaves]
            until = self._ahead + cost
            self._file_time[k, leaves] = leaves + cost
            self._file_place[k, leaves] = self._part(until) - before
            self._again[k, leaves] = np.where(until >= self._read, cost, np.inf)

    def _keep(self, leaves: int, k: int, time: Floats, place: Places) -> tuple[Floats, Places]:
        """Return the least times if the state is kept, and how far to advance first."""
        low = max(1, leaves - self._reach[min(k + 1, len(self._reach) - 1)])
        right = self._cost[k + 1].reshape(-1)
        tried = time[low:leaves] + right[place[low:leaves] + leaves * (AHEAD_PARTS + 1)]
        return _least(tried, low)

    def _let_go(
        self, leaves: int, k: int, right: Floats, least: float | Floats
    ) -> tuple[Floats, Places]:
        """Return the least times if the state is read again, and how far to advance first.

        `right` are the times of the right parts, the longest first: each must take at least
        `least`, in which the state is read.
        """
        first = np.where(right < least, np.inf, self._steps[1:leaves] + right)
        return _least(first[:, None] + self._again[k, 1:leaves], 1)

    def _send(self, leaves: int, held: Floats, split: Places) -> None:
        """Decide where the state is sent to the file instead of kept in memory alone.

        `held` are the times if it keeps its slot all the same, and `split` the decisions then.
        """
        steps = self._steps[1:leaves]
        right = self._busy_cost[0][self._still_busy[BUSY_PARTS, 1:leaves], leaves - steps, 0]
        written = self._read + np.maximum(0, self._write - steps)
        gone, far = self._let_go(leaves, 0, right, written)
        sent = np.minimum(gone, held)
        self._sent_cost[leaves] = sent
        self._sent_choice[leaves] = np.where(gone < held, -far, split)
        better = sent < self._cost[0, leaves] - _TINY
        self._choice[0, leaves, better] = SEND
        self._cost[0, leaves, better] = sent[better]

    def _decide_busy(self, leaves: int, k: int) -> None:
        """Fill in the rows for a slot that is busy for a time `b` from the start on.

        To advance over `i` leaves and to reverse the right part leaves it busy for ``b - i``; what
        is left of that when the right part is reversed holds for the left part::

            H(l, k, a; b) = min_i  i + right + H(i, k, a; b - i - right)
            right = H(l-i, k+1, a + H(i, k, a); b - i)

        No tapes are tried, and the right part's time ahead is that for a left part without a busy
        slot, as if the next read came sooner: both only make the times longer. Where few slots are
        left the slot counts as busy throughout.
        """
        cost, choice = self._busy_cost[k], self._busy_choice[k]
        parts = cost.shape[2]
        cost[0, leaves] = self._cost[k, leaves, :parts]
        choice[0, leaves] = self._choice[k, leaves, :parts]
        if k + 1 >= len(self._busy_cost):
            cost[1:, leaves] = self._cost[k + 1, leaves, :parts]
            choice[1:, leaves] = self._choice[k + 1, leaves, :parts]
            return
        above = self._busy_cost[k + 1]
        low = max(1, leaves - above.shape[1] + 1)
        steps = self._steps[low:leaves]
        if not steps.size:
            return
        # Three axes: parts of the time that it is busy, leaves to advance over, parts of the time
        # ahead. `place` is that time for the right part, `above` its rows with a state kept.
        place = self._place[k, low:leaves, :parts] + (steps * (AHEAD_PARTS + 1))[:, None]
        busy, steps = self._still_busy[1:, low:leaves, None], steps[None, :, None]
        right = above[busy, leaves - steps, place[None]]
        busy = self._busy_part(self._busy[1:, None, None] - steps - right)
        left = cost[busy, steps, np.arange(parts)]
        tried = steps + left + right
        best = tried.argmin(axis=1)
        cost[1:, leaves] = np.take_along_axis(tried, best[:, None], axis=1)[:, 0]
        choice[1:, leaves] = best + low

    def _part(self, ahead: Floats) -> Places:
        """Return the time ahead in parts of a read, rounded down."""
        parts = np.minimum(ahead, self._read) / self._unit + _TINY
        return np.minimum(AHEAD_PARTS, parts).astype(np.intp)

    def _busy_part(self, busy: Floats) -> Places:
        """Return the time that a slot is busy in parts of a write, rounded up."""
        return np.ceil(np.maximum(0, busy) / self._busy_unit - _TINY).astype(np.intp)


def _least(tried: Floats, first: int) -> tuple[Floats, Places]:
    """Return the least of each column, and its row; the first row has the number `first`."""
    best = tried.argmin(axis=0)
    return tried[best, np.arange(tried.shape[1])], best + first
