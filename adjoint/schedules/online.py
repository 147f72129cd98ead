"""Online: reverse a run within a number of slots where its end is known only once it is there.

Adaptive time stepping, or a run to a steady state, ends where it ends. So the forward sweep keeps
states, and gives them up again, such that whatever the end turns out to be, what is kept is nearly
what Revolve would have kept (`adjoint.schedules.online_placement` has the rule). After the end the
gaps between kept states are reversed by Revolve, last first, each with all slots that are free by
then.

The end is known only after the last leaf was advanced over, and its tape was not kept. So the state
last kept is restored, and the last leaf is reached once more; that alone takes one leaf more than
Revolve would. With `n` leaves and `s` slots the steps of `Advance` actions are

- for ``n <= beta(s, 2) = (s + 1)(s + 2) / 2`` as few as if the end had been known, but for having
  to advance over the last leaf. Stumm and Walther (2010, doi:10.1137/080742439) have an optimal
  rule for the same range;
- for ``n <= s`` one leaf more than Revolve takes, ``t(n, s) + 1``;
- beyond, a little more than t(n, s). Over all ends in a range, the excess in per cent of t(n, s),
  its mean and the largest, as ``tests/benchmarks/online_excess.py`` counts them:

====================  ============  ============  ============
the end is in         3 slots       10 slots      50 slots
====================  ============  ============  ============
(100, 1,000]          2.18,  7.16   1.02,  4.27   0.29,  1.33
(1,000, 10,000]       1.11,  4.41   0.71,  3.43   0.03,  0.15
(10,000, 100,000]     0.57,  2.52   0.34,  1.23   0.09,  1.57
(100,000, 1,000,000]  0.29,  1.38   0.41,  1.28   0.17,  1.93
====================  ============  ============  ============

No rule can do without such an excess, nor is this one the best in every respect. With 2 slots and
up to 150 leaves it is 111 leaves at most, and 107 with the rule that is best in that; with 3 slots
it is 13 with both up to 50 leaves, and 21 against 13 up to 60.

The rule of Wang, Moin and Iaccarino (2009, doi:10.1137/080727890) bounds how often any step is
advanced, rather than the sum, and stores each state as it goes by. This one stores, in runs of
100,000 leaves, one in 90 with 3 slots and one in 5 with 50.
"""

from collections.abc import Iterator
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, Discard, Record, Store, Tier, Turn
from adjoint.schedules.online_placement import placements
from adjoint.schedules.protocol import AdaptiveStream, num_leaves
from adjoint.schedules.revolve import reversal

__all__ = ["Online", "OnlineStream"]


class Online:
    """Reverse a run of any length within a number of slots.

    The stream has to be told where the run ends, see `OnlineStream`. Iterating takes ``O(s)``
    memory, however long the run is.

    Parameters
    ----------
    num_slots
        Snapshots that fit in memory besides the live state, at least 1. A run of fewer leaves than
        that uses one for each.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        A number that is less than 1.
    """

    num_steps = None
    num_tapes = 1
    tape_slots = 0
    file_states = 0

    def __init__(self, num_slots: int, *, leaf_steps: int = 1) -> None:
        num_leaves(1, leaf_steps)
        if index(num_slots) < 1:
            raise ScheduleError(
                f"num_slots is {num_slots}: without knowing the end, the initial state must be "
                f"kept, which takes at least 1"
            )
        self.num_slots = index(num_slots)
        self.leaf_steps = index(leaf_steps)

    def __repr__(self) -> str:
        return f"Online(num_slots={self.num_slots}, leaf_steps={self.leaf_steps})"

    def __iter__(self) -> "OnlineStream":
        return OnlineStream(self.num_slots, self.leaf_steps)


class OnlineStream(AdaptiveStream):
    """The actions of one sweep, which must be told where the run ends.

    Until it is, it goes forward: its last `Advance` may be carried out in part.
    """

    awaits_num_steps = True

    def __init__(self, num_slots: int, leaf_steps: int) -> None:
        self._slots = num_slots
        self._leaf = leaf_steps
        self._swept = (0, 0)
        """Where the last `Advance` of the forward sweep begins and ends."""
        self._end: int | None = None
        self._actions = self._sweep()

    def __next__(self) -> Action:
        return next(self._actions)

    def set_num_steps(self, num_steps: int) -> None:
        """Take note that the run ends at `num_steps`, where the live state now is.

        Raises
        ------
        ScheduleError
            The end is not in the last `Advance`, or was told already.
        """
        start, stop = self._swept
        if self._end is not None:
            raise ScheduleError(f"the run ended at step {self._end}: it cannot end again")
        if not start < index(num_steps) <= stop:
            raise ScheduleError(
                f"the run cannot end at step {num_steps}: the last steps that the schedule asked "
                f"for are [{start}, {stop}); tell it the end as soon as it is reached"
            )
        self._end = index(num_steps)

    def _sweep(self) -> Iterator[Action]:
        kept = [0]
        yield Store(0)
        if self._slots == 1:
            yield from self._keeping_nothing_else()
        else:
            yield from self._keeping(kept)
        assert self._end is not None, "the forward sweep goes on until the end is told"
        yield from self._reverse(kept, self._end)

    def _keeping(self, kept: list[int]) -> Iterator[Action]:
        """Sweep forward to the end; what is kept is in `kept`, in leaves."""
        leaf = self._leaf
        for next_kept, given_up in placements(kept, self._slots):
            yield self._advance(kept[-1] * leaf, next_kept * leaf)
            if self._end is not None:
                return
            if given_up < len(kept):
                yield Discard(kept[given_up] * leaf, Tier.MEMORY)
            yield Store(next_kept * leaf)

    def _keeping_nothing_else(self) -> Iterator[Action]:
        start, stop = 0, self._leaf
        while self._end is None:
            yield self._advance(start, stop)
            start, stop = stop, 2 * stop

    def _advance(self, start: int, stop: int) -> Advance:
        self._swept = (start, stop)
        return Advance(start, stop)

    def _reverse(self, kept: list[int], end: int) -> Iterator[Action]:
        """Reverse gap by gap, each with the slots that those below it leave."""
        start = kept.pop() * self._leaf
        last = reversal(start, end, self._slots - len(kept), self._leaf, turn=False)
        for action in last:
            if type(action) is Record:
                yield Record(action.start, action.stop)  # the Turn comes before its PullBack
                break
            yield action
        yield Turn()
        yield from last
        while kept:
            stop, start = start, kept.pop() * self._leaf
            yield from reversal(start, stop, self._slots - len(kept), self._leaf, turn=False)
