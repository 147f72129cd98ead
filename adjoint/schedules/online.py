"""Online: reverse a run within a number of slots if its end is known only once it is reached.

With adaptive time stepping, or in a run to a steady state, the number of steps is not known in
advance. So the forward sweep keeps and discards states such that, wherever the run ends, the kept
states are nearly those that Revolve would have kept (`adjoint.schedules.online_placement` has the
rule). After the end the gaps between kept states are reversed by Revolve, last first, each with all
slots that are free by then.

The end is known only after the last leaf was advanced over without a tape. So the last kept state
is restored and the last leaf is reached once more; this alone takes one leaf more than Revolve.
With `n` leaves and `s` slots the `Advance` actions take

- for ``n <= s`` one leaf more than Revolve, ``t(n, s) + 1``;
- for ``n <= beta(s, 2) = (s + 1)(s + 2) / 2`` the fewest steps possible if the last leaf has to be
  advanced over. Stumm and Walther (2010, doi:10.1137/080742439) have an optimal rule for the same
  range;
- beyond, a little more than t(n, s). Over all ends in a range, the mean and the largest excess in
  per cent of t(n, s) are, by ``tests/benchmarks/online_excess.py``:

====================  ============  ============  ============
the end is in         3 slots       10 slots      50 slots
====================  ============  ============  ============
(100, 1,000]          2.18,  7.16   1.02,  4.27   0.29,  1.33
(1,000, 10,000]       1.11,  4.41   0.71,  3.43   0.03,  0.15
(10,000, 100,000]     0.57,  2.52   0.34,  1.23   0.09,  1.57
(100,000, 1,000,000]  0.29,  1.38   0.41,  1.28   0.17,  1.93
====================  ============  ============  ============

No rule avoids an excess, and this one does not minimise the largest: with 2 slots and up to 150
leaves that is 111 leaves, and 107 is possible; with 3 slots it is 13, the least possible, up to 50
leaves, and 21 instead of 13 up to 60.

The rule of Wang, Moin and Iaccarino (2009, doi:10.1137/080727890) bounds the number of times that
any step is advanced, rather than their sum, and stores every state that it passes. In runs of
100,000 leaves this one stores one state in 90 with 3 slots, and one in 5 with 50.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, Discard, Record, Store, Tier, Turn
from adjoint.schedules.online_placement import placements
from adjoint.schedules.protocol import OpenStream, num_leaves, set_fields
from adjoint.schedules.revolve import reversal

__all__ = ["Online", "OnlineStream"]


@dataclass(frozen=True)
class Online:
    """Reverse a run of any length within a number of slots.

    Its stream awaits the number of steps, see `OnlineStream`. Iterating takes ``O(num_slots)``
    memory, however long the run is.

    Parameters
    ----------
    num_slots
        Snapshots that fit in memory besides the live state, at least 1. A run of fewer leaves uses
        one for each.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        A number is less than 1.
    """

    num_slots: int
    _: KW_ONLY
    leaf_steps: int = 1

    num_steps = None
    num_tapes = 1
    tape_slots = 0
    file_states = 0

    def __post_init__(self) -> None:
        num_leaves(1, self.leaf_steps)
        if index(self.num_slots) < 1:
            raise ScheduleError(
                f"num_slots is {self.num_slots}: it must be at least 1, since the initial state "
                "must be kept while the end is unknown"
            )
        set_fields(self, "num_slots", "leaf_steps")

    def __iter__(self) -> "OnlineStream":
        return OnlineStream(self.num_slots, self.leaf_steps)


class OnlineStream(OpenStream):
    """The actions of one sweep. The last `Advance` before the end may be carried out in part."""

    def __init__(self, num_slots: int, leaf_steps: int) -> None:
        self._slots = num_slots
        self._leaf = leaf_steps
        self._actions = self._sweep()

    def __next__(self) -> Action:
        return next(self._actions)

    def _sweep(self) -> Iterator[Action]:
        kept = [0]
        yield Store(0)
        if self._slots == 1:
            yield from self._forward_with_one_slot()
        else:
            yield from self._forward(kept)
        assert self._num_steps is not None, "the forward sweep continues until the end is announced"
        yield from self._reverse(kept, self._num_steps)

    def _forward(self, kept: list[int]) -> Iterator[Action]:
        """Sweep forward to the end; the leaves whose states are kept are in `kept`."""
        leaf = self._leaf
        for next_kept, discarded in placements(kept, self._slots):
            yield self._advance(kept[-1] * leaf, next_kept * leaf)
            if self._num_steps is not None:
                return
            if discarded < len(kept):
                yield Discard(kept[discarded] * leaf, Tier.MEMORY)
            yield Store(next_kept * leaf)

    def _forward_with_one_slot(self) -> Iterator[Action]:
        start, stop = 0, self._leaf
        while self._num_steps is None:
            yield self._advance(start, stop)
            start, stop = stop, 2 * stop

    def _advance(self, start: int, stop: int) -> Advance:
        self._swept = (start, stop)
        return Advance(start, stop)

    def _reverse(self, kept: list[int], end: int) -> Iterator[Action]:
        """Reverse gap by gap, each with the slots not taken by the states left of it."""
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
