"""The least makespan that any schedule can have, by best-first search over all there are.

The machine is that of `adjoint.simulation.machine` with a `VirtualClock`: a processor with a live
state, slots in memory, a file, and one channel that carries one state at a time, in the order of
posting, and is
never preempted. Leaves are single steps, and a leaf is pulled back before anything else is computed
(tapes are not kept). Advancing a step takes `u_f`, reversing one `u_b`; the last step of the run,
which must be reached first, takes both. Transfers take `w` and `r`, all else nothing.

Everything depends on earlier events through sums and maxima alone. So whatever is left out of a
schedule, nothing else happens later for it, and among the best schedules there is one of the
following form. The search takes these, and only these, and so it is exhaustive.

*Nothing is unused.* Actions without a use are left out: a live state dropped as soon as it is
reached or read; a snapshot discarded before it is restored or written (it is *fresh* until then); a
state read but not used; a state written that is not read again (it is *unread* until then). A
cancelled write is of no use, and without cancelling it is of no use either to discard a slot before
its write is done. No state in a slot is recomputed.

*Everything is as late as possible.* A snapshot is discarded when its slot or its place in the file
is taken by another one. The live state is stored when it is left, or when its write is posted. A
transfer is posted at the last moment before it begins, so that after any action at most one is
under way. What begins when an action ends, or later, is posted after it.

*Every wait has a purpose.* The processor waits until the transfer under way is done; if there is
none, it posts the one that it waits for. A read straight into the live state takes no slot; it
first waits for the transfers before it in the channel.

So decisions fall at the ends of actions, advances are of one step, and a state of the search is a
`Moment`, in which sets of steps are bit masks and slots have no names. Times are integers, in a
unit of which all costs are multiples, so equal moments are recognised, and only the earliest is
continued (Dijkstra 1959, doi:10.1007/BF01386390; Hart, Nilsson and Raphael 1968,
doi:10.1109/TSSC.1968.300136). The remaining time is at least

- `u_b` for every step to reverse, and `u_f` for every state needed that is kept nowhere; and
- the rest of the transfer under way, then `r` for every state written and not yet read, then `u_b`
  for the steps up to the lowest of these, which cannot be reversed earlier.
"""

import heapq
from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import NamedTuple


class Moment(NamedTuple):
    """Everything that the future depends on, at the end of an action."""

    end: int
    """Steps not yet reversed."""
    live: int
    """The step whose state is live; -1 if none is, `num_steps` if the last step is recorded."""
    held: int
    """Snapshots in slots, including the one being written."""
    fresh: int
    """Those of them that were neither restored nor written since they were stored or read."""
    filed: int
    """Snapshots in the file, including the one being read."""
    unread: int
    """Those of them that were never read."""
    moving: int
    """The transfer under way: step + 1 for a write, -(step + 1) for a read, 0 for none."""
    left: int
    """Time until it is done."""


def optimum(
    num_steps: int,
    num_slots: int,
    *,
    u_f: float,
    u_b: float,
    w: float,
    r: float,
    file_states: int | None = None,
) -> float:
    """Return the least makespan of any schedule without kept tapes, for some ten steps.

    `file_states` limits the number of states in the file; None is no limit.
    """
    costs = [Fraction(cost) for cost in (u_f, u_b, w, r)]
    unit = lcm(*(cost.denominator for cost in costs))
    capacity = num_steps if file_states is None else file_states
    search = _Search(num_steps, num_slots, capacity, *(int(cost * unit) for cost in costs))
    start = Moment(num_steps, 0, 0, 0, 0, 0, 0, 0)
    earliest = {start: 0}
    # of moments with the same bound the latest is nearest to the end
    frontier = [(search.time_to_come(start), 0, start)]
    while frontier:
        _bound, now, moment = heapq.heappop(frontier)
        now = -now
        if moment.end == 0:
            return now / unit
        if now > earliest[moment]:
            continue
        for seconds, following in search.moves(moment):
            then = now + seconds
            if then < earliest.get(following, then + 1):
                earliest[following] = then
                bound = then + search.time_to_come(following)
                heapq.heappush(frontier, (bound, -then, following))
    raise ValueError(f"{num_steps} steps cannot be reversed with {num_slots} slots")


class _Search:
    """The moments that may follow a moment. Sets of steps are bit masks throughout."""

    def __init__(
        self, num_steps: int, num_slots: int, capacity: int, u_f: int, u_b: int, w: int, r: int
    ) -> None:
        self.num_steps = num_steps
        self.num_slots = num_slots
        self.capacity = capacity
        self.u_f, self.u_b, self.w, self.r = u_f, u_b, w, r

    def time_to_come(self, m: Moment) -> int:
        """Return a lower bound of it."""
        needed = (1 << m.end) - 1
        if m.live == self.num_steps:
            needed >>= 1
        elif m.end == self.num_steps:
            needed |= 1 << m.end
        missing = needed & ~(m.held | m.filed | _bit(m.live))
        computing = m.end * self.u_b + missing.bit_count() * self.u_f
        to_read = m.unread | _bit(m.moving - 1)
        lowest = (to_read | _bit(-m.moving - 1)) & -(to_read | _bit(-m.moving - 1))
        moving = m.left + to_read.bit_count() * self.r + lowest.bit_length() * self.u_b
        return max(computing, moving)

    def moves(self, m: Moment) -> Iterator[tuple[int, Moment]]:
        """Give every action, with its duration and the moment at its end."""
        yield from self._reversals(m)
        if m.live != self.num_steps:
            yield from self._advances(m)
            yield from self._direct_reads(m)
        if m.moving:
            yield m.left, self._arrived(m, _bit(m.moving - 1), _bit(-m.moving - 1), m.left)
        else:
            yield from self._awaited_transfers(m)

    # -- what the processor does --------------------------------------------------------------

    def _reversals(self, m: Moment) -> Iterator[tuple[int, Moment]]:
        """Reverse the last step, from the live state or from a slot."""
        step = m.end - 1
        begun = m.live == self.num_steps or m.end < self.num_steps
        in_vain = m.unread & _bit(step) or abs(m.moving) == m.end
        if not begun or in_vain:
            return
        if m.live in {step, self.num_steps}:
            sources = [m]
        elif m.held & _bit(step):
            sources = self._leaving(m, keep=_bit(step))
        else:
            return
        useful = (1 << step) - 1
        for s in sources:
            left_over = (s.held & useful, s.fresh & useful, s.filed & useful, s.unread & useful)
            begin = Moment(step, -1, *left_over, s.moving, s.left)
            for following in self._meanwhile(begin, self.u_b):
                yield self.u_b, following

    def _advances(self, m: Moment) -> Iterator[tuple[int, Moment]]:
        """Advance a step from the live state or from a slot, to a state that no slot has."""
        last = m.end if m.end == self.num_steps else m.end - 1
        for step in _steps((m.held | _bit(m.live)) & ((1 << last) - 1) & ~(m.held >> 1)):
            used = ~_bit(step)
            if step != m.live:
                sources = [s._replace(fresh=s.fresh & used) for s in self._leaving(m, ~used)]
            else:
                sources = [m._replace(fresh=m.fresh & used)]
                if not m.held & _bit(step):
                    sources += self._storing(m)
            for s in sources:
                for following in self._meanwhile(s._replace(live=step + 1), self.u_f):
                    yield self.u_f, following

    def _direct_reads(self, m: Moment) -> Iterator[tuple[int, Moment]]:
        """Read a state straight into the live state."""
        if m.moving:
            return
        for step in _steps(m.filed & ~m.held & ~_bit(m.live)):
            for s in self._leaving(m):
                yield self.r, s._replace(live=step, unread=s.unread & ~_bit(step))

    def _awaited_transfers(self, m: Moment) -> Iterator[tuple[int, Moment]]:
        """Post a transfer, and wait for it."""
        posted = list(self._posted(m, 0, 0))
        if 0 <= m.live < m.end and not (m.held | m.filed) & _bit(m.live):
            for stored in self._storing(m):
                posted += [p for p in self._posted(stored, 0, 0) if p[0].moving == m.live + 1]
        for begun, writing, reading in posted:
            yield begun.left, self._arrived(begun, writing, reading, begun.left)

    def _leaving(self, m: Moment, keep: int = 0) -> list[Moment]:
        """Return the ways to leave the live state, which is stored if no slot has it."""
        return [m] if m.live < 0 or m.held & _bit(m.live) else self._storing(m, keep)

    def _storing(self, m: Moment, keep: int = 0) -> list[Moment]:
        """Return the ways to store the live state; it does not replace `keep`."""
        live = _bit(m.live)
        return [
            m._replace(held=m.held & ~victim | live, fresh=m.fresh | live)
            for victim in self._slots_to_take(m, _bit(m.moving - 1), _bit(-m.moving - 1), keep)
        ]

    # -- what the channel does meanwhile ------------------------------------------------------

    def _meanwhile(self, m: Moment, seconds: int) -> set[Moment]:
        """Return the moments after a time, for every choice of transfers that begin meanwhile."""
        found: set[Moment] = set()
        pending = [(m, _bit(m.moving - 1), _bit(-m.moving - 1))]
        while pending:
            begun, writing, reading = pending.pop()
            found.add(self._arrived(begun, writing, reading, seconds))
            if begun.left < seconds:
                pending += self._posted(begun, writing, reading)
        return found

    def _posted(self, m: Moment, writing: int, reading: int) -> Iterator[tuple[Moment, int, int]]:
        """Post one more transfer; `left` is then the time until all posted ones are done."""
        for step in _steps(m.held & ~m.filed & ~writing):
            for victim in self._places_to_take(m, writing, reading):
                filed, fresh = m.filed & ~victim, m.fresh & ~_bit(step)
                rest = (filed, m.unread, step + 1, m.left + self.w)
                yield Moment(m.end, m.live, m.held, fresh, *rest), writing | _bit(step), reading
        for step in _steps(m.filed & ~m.held & ~reading & ~_bit(m.live)):
            for victim in self._slots_to_take(m, writing, reading):
                held, unread = m.held & ~victim, m.unread & ~_bit(step)
                rest = (m.filed, unread, -(step + 1), m.left + self.r)
                yield Moment(m.end, m.live, held, m.fresh, *rest), writing, reading | _bit(step)

    def _arrived(self, m: Moment, writing: int, reading: int, seconds: int) -> Moment:
        """Return the moment after a time, when all posted transfers but the last are done."""
        moving, left = 0, 0
        if m.left > seconds:
            moving, left = m.moving, m.left - seconds
            writing &= ~_bit(moving - 1)
            reading &= ~_bit(-moving - 1)
        held, fresh = m.held | reading, m.fresh | reading
        filed, unread = m.filed | writing, m.unread | writing
        return Moment(m.end, m.live, held, fresh, filed, unread, moving, left)

    def _slots_to_take(self, m: Moment, writing: int, reading: int, keep: int = 0) -> list[int]:
        """Return the snapshots that may be replaced in a slot; 0, for none, if one is free."""
        if m.held.bit_count() + reading.bit_count() < self.num_slots:
            return [0]
        return [_bit(step) for step in _steps(m.held & ~m.fresh & ~writing & ~keep)]

    def _places_to_take(self, m: Moment, writing: int, reading: int) -> list[int]:
        """Return the snapshots that may be replaced in the file, likewise."""
        if m.filed.bit_count() + writing.bit_count() < self.capacity:
            return [0]
        return [_bit(step) for step in _steps(m.filed & ~m.unread & ~reading)]


def _bit(step: int) -> int:
    """Return the set of one step; the empty set if it is negative."""
    return 1 << step if step >= 0 else 0


def _steps(mask: int) -> Iterator[int]:
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1
