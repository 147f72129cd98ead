"""The actions of a spilling schedule, as they are decided."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from adjoint.actions import Action, Advance, PullBack, Record, Turn
from adjoint.costs import Costs
from adjoint.errors import ScheduleError
from adjoint.schedules.schedule import num_leaves
from adjoint.schedules.spilling_keeps import GRID, Comb, KeepPlan
from adjoint.schedules.spilling_pieces import Pace, Pieces
from adjoint.schedules.spilling_stack import Kept, Stack

if TYPE_CHECKING:
    from adjoint.schedules.spilling import Spilling

__all__ = ["OpenEndedStream", "SpillingStream"]

Place = tuple[Comb, int]
"""Which state of which comb one in the file is."""

RING_GAP = 8
"""States kept in case the run ends soon are so many leaves apart or more: they must cost little."""


class SpillingStream:
    """One iteration over a schedule whose end is known.

    Between two actions it may be told of costs (`observe`) and of lost states (`lost`), on every
    rank between the same two.
    """

    def __init__(self, schedule: "Spilling") -> None:
        self._schedule = schedule
        self._leaf_steps = schedule.leaf_steps
        self._num_steps = schedule.num_steps
        self._pitch = schedule.pitch
        self._pace = Pace.of(schedule.costs, schedule.leaf_steps)
        self._pieces = Pieces(self._pace, schedule.split, schedule.tapes)
        self._stack = Stack(
            schedule.num_slots,
            schedule.tape_slots,
            schedule.leaf_steps,
            schedule.costs,
            self._pieces,
            patience=schedule.patience,
        )
        self._turned = False
        self._end = 0
        self._replanned = False
        self._actions = self._play()

    def __iter__(self) -> "SpillingStream":
        return self

    def __next__(self) -> Action:
        return next(self._actions)

    def observe(self, costs: Costs) -> None:
        """Take note of what things cost from now on.

        The spacing of what is still to be written changes as the ratio of a write to a step does;
        reads are posted as long ahead as they now take.
        """
        before, self._pace = self._pace, Pace.of(costs, self._leaf_steps)
        written, self._stack.costs = self._stack.costs.write, costs
        if before.advance * self._pace.advance * written * costs.write > 0:
            change = (costs.write / self._pace.advance) / (written / before.advance)
            self._pitch = max(GRID, round(self._pitch * change))
            self._replanned = True
        self._pieces.forget(self._pace)
        self._stack.reckon()

    def lost(self, step: int) -> None:
        """Take note that the file has no snapshot `step`: its write or its read failed.

        What lies right of it is then recomputed from the nearest state left of it.

        Raises
        ------
        ScheduleError
            It is the initial state, and no slot has it.
        """
        self._stack.lose(step // self._leaf_steps, turned=self._turned)

    # -- the forward sweep --------------------------------------------------------------------

    def _play(self) -> Iterator[Action]:
        assert self._num_steps is not None
        self._end = num_leaves(self._num_steps, self._leaf_steps)
        if self._end == 1:
            yield from self._reverse_leaf(0)
            return
        live = yield from self._forward()
        yield from self._descend(live)
        yield from self._reverse()

    def _forward(self) -> Generator[Action, None, int]:
        """Keep states up to the last that is planned; return its leaf, which is live."""
        stack, live = self._stack, 0
        planned = self._planned(self._schedule.keeps(self._end, self._pitch))
        while (keep := next(planned, None)) is not None:
            leaf, place = keep
            if leaf > live:
                yield self._advance(live, leaf)
                live = leaf
            yield from stack.make_room()
            if stack.free:
                yield from stack.store(leaf, place)
            if self._replanned:
                planned = self._replan(live)
        return live

    def _planned(self, plan: KeepPlan) -> Iterator[tuple[int, Place | None]]:
        yield 0, (Comb(0, GRID, 1), 0) if plan.first_in_file else None
        for k in range(plan.comb.count):
            yield plan.comb.leaf(k), (plan.comb, k)
        for leaf, in_file in plan.tail:
            yield leaf, _alone(leaf) if in_file else None

    def _replan(self, live: int) -> Iterator[tuple[int, Place | None]]:
        """Return what is still to be kept right of the live state, at the present spacing."""
        self._replanned = False
        left = self._end - live
        capacity = self._schedule.capacity
        if capacity is not None:
            room = max(1, capacity - self._stack.in_file)
            self._pitch = max(self._pitch, -(-left * GRID // room))
        for leaf, place in self._planned(self._schedule.keeps(self._end, self._pitch)):
            near = place is not None and (leaf - live) * GRID < self._pitch - GRID
            if leaf > live and not near and self._has_place(place):
                yield leaf, place

    def _has_place(self, place: Place | None) -> bool:
        capacity = self._schedule.capacity
        return place is None or capacity is None or self._stack.in_file < capacity

    # -- the reverse sweep --------------------------------------------------------------------

    def _reverse(self) -> Iterator[Action]:
        """Reverse all leaves that are left, from the top of the stack down."""
        stack = self._stack
        while self._end:
            top = stack.top()
            if top.leaf == self._end:
                yield from stack.discard_top()
            elif top.is_tape:
                seconds = self._pace.pull_back
                if stack.has_absent:
                    yield from stack.prefetch(seconds, seconds, seconds)
                stack.discard_top_tape()
                yield self._pull_back(top.leaf)
            elif top.leaf == self._end - 1:
                if (yield from stack.take(top)):
                    yield from self._reverse_leaf(top.leaf)
            elif (yield from stack.restore(top)):
                yield from self._descend(top.leaf)

    def _descend(self, live: int) -> Iterator[Action]:
        """Reverse the last leaf from the live state, keeping states and tapes on the way there."""
        stack, pieces = self._stack, self._pieces
        while (left := self._end - live) > 1:
            slots, in_file = yield from self._slots(live)
            split = pieces.seconds_and_split(left, slots, in_file)[1]
            if split == 0:
                yield from self._keep_tape(live)
                live += 1
                continue
            if stack.kept[-1].leaf != live:
                if slots > 0:
                    while stack.free <= stack.reserved and stack.clean:
                        yield from stack.evict(stack.clean[0])
                    yield from stack.store(live)
                else:
                    split = left - 1
            yield self._advance(live, live + split)
            live += split
        if stack.kept and stack.kept[-1].leaf == live:
            yield from stack.discard_top()
        yield from self._reverse_leaf(live)

    def _slots(self, live: int) -> Generator[Action, None, tuple[int, bool]]:
        """Return the slots there are for what is right of the live state.

        And whether that is in the file, and will not take one of them. Reads what is due.
        """
        stack, left = self._stack, self._end - live
        top = stack.kept[-1]
        stored = top.leaf == live
        until_top, until_below, split = self._outlook(live, top)
        if self._turned and stack.has_absent:
            yield from stack.prefetch(until_top, until_below, split * self._pace.advance)
        slots = stack.free - stack.reserved + stack.evictable(until_top, until_below)
        if not stored:
            if slots < 1 and top.is_tape and left > 1:
                # there is no state below that could be advanced from to come back here
                yield from stack.insist_on_room()
                slots = 1
            return slots, False
        if top.transfer is not None or not top.in_slot or stack.may_evict(until_top):
            return slots, True
        return slots + 1, False

    def _outlook(self, live: int, top: Kept) -> tuple[float, float, int]:
        """Return when the top is needed again, when what is below it is, and the split until then.

        In seconds from now, if what is right of the live state is reversed next.
        """
        stack, left = self._stack, self._end - live
        if top.leaf == live:
            slots = stack.num_slots - top.locked
            below, split = self._pieces.seconds_and_split(left, slots, top.in_file)
            if split == 0:
                return below, below, split
            return (
                below - self._pieces.seconds_and_split(split, slots, top.in_file)[0],
                below,
                split,
            )
        slots = stack.num_slots - stack.locked
        until_top, split = self._pieces.seconds_and_split(left, slots, False)
        return until_top, until_top + stack.seconds(live - top.leaf, top), split

    def _keep_tape(self, live: int) -> Iterator[Action]:
        """Record the leaf of the live state, and keep its tape."""
        stack = self._stack
        top = stack.kept[-1]
        if top.leaf == live and top.transfer is None:
            yield from stack.discard_top()
        while stack.free - stack.reserved < stack.tape_slots and stack.clean:
            yield from stack.evict(stack.clean[0])
        stack.clock.compute(self._pace.keep)
        yield Record(live * self._leaf_steps, (live + 1) * self._leaf_steps)
        stack.keep_tape(live)

    def _reverse_leaf(self, live: int) -> Iterator[Action]:
        """Reverse the last leaf from its own state, which is live and not kept."""
        stack, pace = self._stack, self._pace
        if self._turned and stack.has_absent:
            seconds = pace.record + pace.pull_back
            below = seconds
            if stack.kept:
                top = stack.kept[-1]
                below += stack.seconds(live - top.leaf, top)
            yield from stack.prefetch(seconds, below, seconds)
        yield Record(live * self._leaf_steps, self._stop())
        if self._turned:
            stack.clock.compute(pace.record)
        else:
            self._turned = True
            stack.clock.compute(pace.keep)
            yield from stack.cancel_writes()
            yield Turn()
            stack.clock.compute(stack.costs.turn)
        yield self._pull_back(live)

    # -- inside -------------------------------------------------------------------------------

    def _advance(self, start: int, stop: int) -> Action:
        self._stack.clock.compute((stop - start) * self._pace.advance)
        return Advance(start * self._leaf_steps, stop * self._leaf_steps)

    def _pull_back(self, leaf: int) -> Action:
        stop = self._stop()
        self._stack.clock.compute(self._pace.pull_back)
        self._end = leaf
        return PullBack(leaf * self._leaf_steps, stop)

    def _stop(self) -> int:
        """Return the step at which what is still to be reversed ends."""
        stop = self._end * self._leaf_steps
        return stop if self._num_steps is None else min(stop, self._num_steps)


class OpenEndedStream(SpillingStream):
    """One iteration over a schedule that is told where the run ends."""

    _ended = False

    def finished(self, num_steps: int) -> None:
        """Take note that the run ends at `num_steps`, where the live state now is.

        Raises
        ------
        ScheduleError
            The run has ended already, or no step was taken yet.
        """
        if self._ended or num_steps < 1:
            raise ScheduleError(f"the run cannot end at step {num_steps}: it has ended already")
        self._num_steps = num_steps
        self._ended = True

    def _play(self) -> Iterator[Action]:
        yield from self._sweep_on()
        assert self._num_steps is not None
        self._end = num_leaves(self._num_steps, self._leaf_steps)
        stack = self._stack
        while stack.kept[-1].leaf >= self._end:
            yield from stack.discard_top()
        yield from self._reverse()

    def _sweep_on(self) -> Iterator[Action]:
        """Keep states until the run ends; the live state is at its end then."""
        stack, live = self._stack, 0
        comb, k = Comb(0, self._pitch, 1), 0
        ring: list[Kept] = []
        while not self._ended:
            if live == comb.leaf(k):
                yield from stack.drop(ring)
                if stack.in_file == self._schedule.file_states:
                    yield from stack.thin()
                    self._pitch *= 2
                    self._replanned = True
                yield from stack.make_room()
                yield from stack.store(live, (comb, k))
                k += 1
                if self._replanned:
                    comb, k = Comb(live * GRID, self._pitch, 1), 1
                    self._replanned = False
            elif stack.free or (stack.clean and stack.clean[0].leaf < comb.leaf(k - 1)):
                yield from stack.make_room()
                yield from stack.store(live)
                ring.append(stack.kept[-1])
            gap = max(RING_GAP, -(-self._pitch // (GRID * max(1, stack.num_slots - 1))))
            ahead = min(comb.leaf(k), live + gap) if stack.num_slots > 2 else comb.leaf(k)
            yield self._advance(live, ahead)
            live = ahead


def _alone(leaf: int) -> Place:
    return Comb(leaf * GRID, GRID, 1), 0
