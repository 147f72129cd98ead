"""What the asynchronous scheme takes: its event times from segment to segment, not played.

Only the tail, and the segments that begin while writes of several states are still under way, are
followed action by action: they wait for a write where no slot is free. All other segments are
alike, so the work does not grow with the number of steps.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import ceil

from adjoint.schedules import Asynchronous, num_leaves
from adjoint.schedules.actions import Action, Advance, Discard, PullBack, Record, Store
from adjoint.schedules.clock import Transfer, VirtualClock
from adjoint.schedules.costs import Costs
from adjoint.schedules.revolve import minimal_advances, reversal
from adjoint.schedules.spilling.segments import LeafCosts

__all__ = ["asynchronous_seconds"]

SETTLED_REPEATS = 3
"""Intervals and segments after which all others take as long as the last."""

MAX_FOLLOWED_LEAVES = 4_000
"""Longer segments are not followed action by action: a wait for a write is nothing to them."""


def asynchronous_seconds(schedule: Asynchronous, costs: Costs) -> float:
    """Return the makespan that `adjoint.replay` has for a schedule with states in the file.

    Exact, but for `Costs.store` and `Costs.restore`, which are counted once a leaf.
    """
    clock = _Clock(schedule, costs)
    clock.sweep()
    clock.reverse()
    return clock.now + num_leaves(schedule.num_steps, schedule.leaf_steps) * costs.restore


class _Clock(VirtualClock):
    def __init__(self, schedule: Asynchronous, costs: Costs) -> None:
        super().__init__(costs)
        self._schedule = schedule
        self._leaf = LeafCosts.of(costs, schedule.leaf_steps)
        self._resident: deque[Transfer] = deque()
        """Transfers of the boundary states in slots, the oldest first."""

    def sweep(self) -> None:
        """Compute up to the last boundary, writing states meanwhile."""
        boundaries, staging = self._schedule.file_states, self._schedule.staging
        staged = min(staging, self._schedule.num_slots, boundaries)

        def interval() -> None:
            if len(self._resident) == staged:
                self.wait(self._resident.popleft())
            self.compute(self._costs.store + self._costs.post)
            self._resident.append(self.post(self._costs.write, reading=False))
            self.compute(self._schedule.interval * self._costs.advance)

        behind = self._costs.write - self._schedule.interval * self._costs.advance
        filling = ceil(staged * self._costs.write / behind) if behind > 0 else 0
        self._repeat(interval, boundaries, staged + filling + SETTLED_REPEATS)

    def reverse(self) -> None:
        """Reverse the tail and then all segments."""
        schedule, costs = self._schedule, self._costs
        leaf, slots, interval = schedule.leaf_steps, schedule.num_slots, schedule.interval
        last = schedule.file_states * interval
        self._tail(last)
        left = schedule.file_states

        def segment() -> None:
            nonlocal left
            left -= 1
            self.wait(self._resident.pop())
            if left and not self._resident:
                self.compute(costs.post)
                self._resident.append(self.post(costs.read, reading=True))
            start, room = left * interval, slots - (1 if left else 0)
            if len(self._resident) > 1 and interval // leaf <= MAX_FOLLOWED_LEAVES:
                self._follow(reversal(start, start + interval, room, leaf, turn=False), 1)
            else:
                self.compute(self._reversing(interval // leaf, room))

        while left and len(self._resident) > 1:
            segment()
        self._repeat(segment, left - 1, SETTLED_REPEATS)
        left = min(left, 1)
        if left:
            segment()

    def _tail(self, last: int) -> None:
        schedule, costs = self._schedule, self._costs
        leaf, slots = schedule.leaf_steps, schedule.num_slots - 1
        leaves = num_leaves(schedule.num_steps - last, leaf)
        short = leaves * leaf - (schedule.num_steps - last)
        if leaves <= MAX_FOLLOWED_LEAVES:
            tail = reversal(last, schedule.num_steps, slots, leaf, turn=True)
            self._follow(tail, 0)
        else:
            self.compute(self._reversing(leaves, slots))
            self.compute(-short * costs.pull_back)
        self.compute(costs.turn + (costs.advance - costs.unreached))

    def _reversing(self, leaves: int, slots: int) -> float:
        advances = minimal_advances(leaves, slots) if leaves > 1 else 0
        leaf = self._leaf
        each = leaf.record + leaf.pull_back + self._costs.store
        return advances * leaf.advance + leaves * each

    def _follow(self, actions: Iterator[Action], used: int) -> None:
        """Play a segment; where it finds no slot free, wait for the oldest write."""
        costs = self._costs
        for action in actions:
            if isinstance(action, Advance):
                self.compute((action.stop - action.start) * costs.advance)
            elif isinstance(action, Record):
                steps = action.stop - action.start
                self.compute(costs.recording(steps, reach_stop=False) + costs.store)
            elif isinstance(action, PullBack):
                self.compute((action.stop - action.start) * costs.pull_back)
            elif isinstance(action, Store):
                if used + len(self._resident) == self._schedule.num_slots:
                    self.wait(self._resident.popleft())
                used += 1
            elif isinstance(action, Discard):
                used -= 1

    def _repeat(self, once: Callable[[], None], times: int, settled: int) -> None:
        """Do something `times` times; after the first `settled`, each takes as long as the last."""
        before = now = self.now
        for _ in range(min(times, settled)):
            once()
            before, now = now, self.now
        more = times - settled
        if more > 0:
            self._shift(more * (now - before))

    def _shift(self, seconds: float) -> None:
        self.now += seconds
        self.busy_until += seconds
        for transfer in self._resident:
            transfer.begins += seconds
            transfer.ends += seconds
