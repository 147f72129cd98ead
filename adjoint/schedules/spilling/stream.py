"""The actions of a spilling schedule, as they are decided."""

from collections.abc import Generator, Iterator
from operator import index
from typing import TYPE_CHECKING

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, PullBack, Record, Turn
from adjoint.schedules.costs import Costs
from adjoint.schedules.protocol import AdaptiveStream, ResumePoint, num_leaves
from adjoint.schedules.spilling.outlook import Outlook, timed_outlook
from adjoint.schedules.spilling.segments import LeafCosts, SegmentCosts
from adjoint.schedules.spilling.spacing import GRID, EvenSteps, ForwardPlan
from adjoint.schedules.spilling.stack import Entry, Stack
from adjoint.schedules.spilling.timed_table import SEND

if TYPE_CHECKING:
    from adjoint.schedules.spilling.schedule import Spilling

__all__ = ["SpillingStream"]

Place = tuple[EvenSteps, int]
"""Which state of which comb one in the file is."""


class SpillingStream(AdaptiveStream):
    """One iteration over a schedule whose end is known.

    Between two actions it may be told of costs (`update_costs`) and of lost states
    (`snapshot_lost`), on every rank between the same two.
    """

    def __init__(self, schedule: "Spilling", situation: ResumePoint | None = None) -> None:
        self._schedule = schedule
        self._leaf_steps = schedule.leaf_steps
        self._num_steps = schedule.num_steps
        self._given = self._pitch = schedule.pitch
        self._pace = LeafCosts.of(schedule.costs, schedule.leaf_steps)
        self._pieces = SegmentCosts(self._pace, schedule.split, schedule.tapes)
        self._stack = Stack(
            schedule.num_slots,
            schedule.tape_slots,
            schedule.leaf_steps,
            schedule.costs,
            self._pieces,
            patience=schedule.patience,
            foresight=schedule.foresight,
            timed=schedule.timing,
        )
        self.turned_at = 0.0
        """When the turn was, by the virtual clock."""
        self._turned = False
        self._end = 0
        self._replanned = False
        self._most_in_file = schedule.file_states
        self._is_full = False
        """Whether states in the file must make room for others."""
        # At once: it may be told of losses before its first action is asked for.
        self._from, self._reversed_to = self._stand(situation)
        self._actions = self._play()

    def __next__(self) -> Action:
        return next(self._actions)

    @property
    def seconds(self) -> float:
        """What has been played so far takes, by the virtual clock."""
        return self._stack.clock.now

    def update_costs(self, costs: Costs) -> None:
        """Take note of what things cost from now on.

        The spacing of what is still to be written changes as the ratio of a write to a step does,
        but is not made closer than was given, or than saves a step (`_closest`), where each state
        in the file takes more of the processor than it saves. Reads are posted as long ahead as
        they now take.
        """
        self._pace = LeafCosts.of(costs, self._leaf_steps)
        self._stack.update_costs(costs)
        self._pieces.forget(self._pace)
        self._stack.reckon()
        pitch = max(self._closest(costs), self._spacing(costs.write))
        self._replanned = self._replanned or pitch != self._pitch
        self._pitch = pitch

    def snapshot_lost(self, step: int) -> bool:
        """Take note that the file has no snapshot `step`: its write or its read failed.

        What lies right of it is then recomputed from the nearest state left of it.

        Raises
        ------
        ScheduleError
            It is the initial state, and no slot has it; or the file had no such snapshot.
        """
        leaf, off_grid = divmod(index(step), self._leaf_steps)
        if off_grid:
            raise ScheduleError(
                f"state {step} cannot be lost: only states at multiples of {self._leaf_steps} are "
                "in the file"
            )
        self._stack.lose(leaf, turned=self._turned)
        return True

    def set_capacity(self, file_states: int) -> None:
        """Take note that the file holds so many states, more or fewer than was announced.

        If it is full, then from the next on that would be one too many, every other state is given
        up and the spacing doubled.
        """
        self._most_in_file = file_states
        self._is_full = file_states <= self._stack.in_file

    def revised(self) -> "Spilling":
        """Return the schedule as it would be made by the costs that were told last."""
        return self._schedule.tuned(self._stack.costs, self._pitch, self._most_in_file)

    def _spacing(self, write: float) -> int:
        """Return the spacing that was given, changed as the ratio of a write to a step has."""
        costs, pace = self._schedule.costs, self._pace
        given_advance = self._leaf_steps * costs.advance
        if pace.advance == 0 or given_advance == 0:
            return self._given
        leaves = write / pace.advance
        if costs.write == 0:
            return max(self._given, round(leaves * GRID))
        return max(GRID, round(self._given * leaves * given_advance / costs.write))

    def _closest(self, costs: Costs) -> int:
        """Return the least spacing at which transfers do not take more than they save.

        With `S` slots and states up to ``S + 2`` leaves apart, no leaf is taken again more than
        once: one state more, then, saves no more than one leaf.
        """
        if costs.disturbance <= self._pace.advance:
            return GRID
        return min(self._given, GRID * (self._schedule.num_slots + 2))

    # -- the forward sweep --------------------------------------------------------------------

    def _play(self) -> Iterator[Action]:
        assert self._num_steps is not None
        self._end = num_leaves(self._num_steps, self._leaf_steps)
        if self._reversed_to == 0:
            return  # nothing is left
        if self._reversed_to is not None:
            self._turned = True
            self._end = num_leaves(self._reversed_to, self._leaf_steps)
            if self._end == 1 and not self._stack.in_file:
                yield from self._reverse_leaf(0)
                return
            if not self._stack.in_file:
                yield from self._stack.store(0)
        elif self._end == 1:
            yield from self._reverse_leaf(0)
            return
        else:
            live = yield from self._forward(self._from)
            yield from self._descend(live, resting=False)
        yield from self._reverse()

    def _stand(self, situation: ResumePoint | None) -> tuple[int, int | None]:
        """Take in the situation there is; return the live leaf, and where the adjoint is."""
        if situation is None:
            return 0, None
        for step in situation.in_file:
            leaf = step // self._leaf_steps
            self._stack.bury(*_alone(leaf))
        return (situation.live or 0) // self._leaf_steps, situation.reversed_to

    def _forward(self, live: int) -> Generator[Action, None, int]:
        """Keep states up to the last that is planned; return its leaf, which is live."""
        stack = self._stack
        if live or stack.in_file:
            planned = self._replan(live)
        else:
            planned = self._planned(self._schedule.keeps(self._end, self._pitch))
        while (keep := next(planned, None)) is not None:
            leaf, place = keep
            if leaf > live:
                yield self._advance(live, leaf)
                live = leaf
            if leaf == self._end - 1:
                break  # it is recorded at once
            if place is not None:
                yield from self._thin()
            yield from stack.make_room()
            if stack.free:
                yield from self._store(leaf, place)
            if self._replanned:
                planned = self._replan(live)
        return live

    def _thin(self) -> Iterator[Action]:
        """Give up every other state in the file if it is full."""
        if self._stack.in_file >= self._most_in_file:
            yield from self._stack.thin()
            self._given *= 2
            self._pitch *= 2
            self._replanned = True

    def _store(self, leaf: int, place: Place | None) -> Iterator[Action]:
        """Keep the live state: in the file, if it is to go there and there is room."""
        if place is None or self._stack.in_file < self._most_in_file:
            yield from self._stack.store(leaf, place)
        else:
            yield from self._stack.store_for_now(leaf)

    def _planned(self, plan: ForwardPlan) -> Iterator[tuple[int, Place | None]]:
        yield 0, (EvenSteps(0, GRID, 1), 0) if plan.first_in_file else None
        for k in range(plan.comb.count):
            yield plan.comb.leaf(k), (plan.comb, k)
        for leaf, in_file in plan.tail:
            yield leaf, _alone(leaf) if in_file else None

    def _replan(self, live: int) -> Iterator[tuple[int, Place | None]]:
        """Return what is still to be kept right of the live state, at the present spacing.

        The file holds no more states than the schedule has announced.
        """
        self._replanned = False
        room = max(1, self._most_in_file - self._stack.in_file)
        pitch = max(self._pitch, -(-(self._end - live) * GRID // room))
        for leaf, place in self._planned(self._schedule.keeps(self._end, pitch)):
            near = place is not None and (leaf - live) * GRID < pitch - GRID
            if leaf > live and not near and self._has_place(place):
                yield leaf, place

    def _has_place(self, place: Place | None) -> bool:
        return place is None or self._stack.in_file < self._most_in_file or self._is_full

    # -- the reverse sweep --------------------------------------------------------------------

    def _reverse(self) -> Iterator[Action]:
        """Reverse all leaves that are left, from the top of the stack down."""
        stack = self._stack
        while self._end:
            top = stack.top()
            if top.is_tape and top.leaf == self._end - 1:
                yield from self._pull_back_kept(top.leaf)
            elif top.is_tape:
                yield from self._come_back(top.leaf + 1)
            elif top.leaf == self._end - 1:
                if (yield from stack.take(top)):
                    yield from self._reverse_leaf(top.leaf)
            elif top.is_resident or (yield from stack.fetch(top)):
                yield from self._descend(top.leaf, resting=top.in_slot)

    def _pull_back_kept(self, leaf: int) -> Iterator[Action]:
        """Reverse the last leaf by its tape, which is the top."""
        stack, seconds = self._stack, self._pace.pull_back
        if stack.has_absent:
            yield from stack.prefetch(seconds, seconds, seconds)
        yield from stack.discard_top_tape()
        yield self._pull_back(leaf)

    def _come_back(self, leaf: int) -> Iterator[Action]:
        """Reverse the last leaf from a state right of the kept tapes, which no slot was left for.

        This happens only where states were lost that were to give up their slots.
        """
        stack = self._stack
        state = stack.top_state()
        if (yield from stack.fetch(state)):
            if state.in_slot:
                yield stack.restore(state)
            yield self._advance(state.leaf, leaf)
            yield from self._descend(leaf, resting=False)

    def _descend(self, live: int, *, resting: bool) -> Iterator[Action]:
        """Reverse the last leaf from a state, keeping states and tapes on the way there.

        It is live, or `resting` in the slot of the top.
        """
        stack = self._stack
        stack.let_go(live)
        while (left := self._end - live) > 1:
            if self._foreseen(live):
                return
            if self._is_timed(left):
                stop = yield from self._go_on(live, resting=resting)
                if stop is not None:
                    live, resting = stop, resting and stop == live
                    continue
            slots, in_file = yield from self._slots(live)
            split = self._pieces.seconds_and_split(left, slots, in_file)[1]
            if split == 0:
                if (yield from self._keep_tape(live, resting=resting)):
                    live, resting = live + 1, False
                    continue
                split = left - 1
            if resting:
                yield stack.restore(stack.top())
                resting = False
            elif stack.top().leaf != live and not (slots and (yield from self._keep_state(live))):
                split = left - 1
            yield self._advance(live, live + split)
            live += split
        if stack.kept and stack.kept[-1].leaf == live:
            yield from stack.discard_top()
        yield from self._reverse_leaf(live)

    def _is_timed(self, left: int) -> bool:
        """Return whether the table that reckons with transfers says what to do."""
        timed = self._stack.timed
        return self._turned and timed is not None and left <= timed.max_leaves

    def _timed_outlook(self, live: int) -> Outlook | None:
        stack = self._stack
        if not self._is_timed(self._end - live):
            return None
        assert stack.timed is not None
        has_room = stack.in_file < self._most_in_file
        unit = self._pace.advance
        return timed_outlook(stack, stack.timed, live, self._end - live, unit, has_room=has_room)

    def _go_on(self, live: int, *, resting: bool) -> Generator[Action, None, int | None]:
        """Do what the table says next; return where the live state is, None if it cannot be done.

        Only that of a state that is sent to the file has not moved.
        """
        stack, outlook = self._stack, self._timed_outlook(live)
        if outlook is None:
            return None
        until_top, until_below, move = outlook
        if stack.has_absent:
            ahead = 0 if move == SEND else abs(move)
            yield from stack.prefetch(until_top, until_below, ahead * self._pace.advance)
        own = stack.top() if stack.top().leaf == live else None
        if own is not None and move > 0 and not own.is_resident:
            return None
        needed = int(own is None) if move else stack.tape_slots - stack.gives_up(own)
        if not (yield from stack.make_room_for(needed, until_top, until_below)):
            return None
        if move == 0:
            return live + 1 if (yield from self._keep_tape(live, resting=resting)) else None
        if own is None and not (yield from self._keep_state(live, send=move == SEND)):
            return None
        if move == SEND:
            return live
        if resting:
            yield stack.restore(stack.top())
        if own is not None and move > 0 and own.in_file:
            stack.hold(own)
        yield self._advance(live, live + abs(move))
        return live + abs(move)

    def _foreseen(self, live: int) -> bool:
        """Return whether what is right of a state was passed over: see `Rehearsal`."""
        del live
        return False

    def _slots(self, live: int) -> Generator[Action, None, tuple[int, bool]]:
        """Return the slots there are for what is right of the live state.

        And whether that is in the file, and will not take one of them. Reads what is due.
        """
        stack = self._stack
        top = stack.top()
        stored = top.leaf == live
        until_top, until_below, split = self._outlook(live, top)
        if self._turned and stack.has_absent:
            yield from stack.prefetch(until_top, until_below, split * self._pace.advance)
        slots = stack.free - stack.reserved + stack.evictable(until_top, until_below)
        if not stored:
            if slots < 1 and top.is_tape:
                # from the next state below one would have to take the leaves again whose tapes are
                # kept already
                yield from stack.insist_on_room()
                slots = min(1, stack.free)
            return max(0, slots), False
        if top.in_file and stack.needs_no_slot(top, until_top, until_below):
            return slots, True
        return slots + 1, False

    def _outlook(self, live: int, top: Entry) -> tuple[float, float, int]:
        """Return when the top is needed again, when what is below it is, and the split until then.

        In seconds from now, if what is right of the live state is reversed next.
        """
        stack, left = self._stack, self._end - live
        if (outlook := self._timed_outlook(live)) is not None:
            until_top, until_below, move = outlook
            return until_top, until_below, 0 if move == SEND else abs(move)
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

    def _keep_state(self, live: int, *, send: bool = False) -> Generator[Action, None, bool]:
        """Keep the live state in a slot; return False if there is none after all."""
        stack = self._stack
        while stack.free <= stack.reserved and stack.clean:
            yield from stack.evict(stack.clean[0])
        if not stack.free:
            return False
        yield from stack.store(live, _alone(live) if send else None)
        return True

    def _keep_tape(self, live: int, *, resting: bool) -> Generator[Action, None, bool]:
        """Record the leaf of a state and keep its tape; return False if there is no room after all.

        The state is live, or `resting` in the slot of the top.
        """
        stack = self._stack
        own = stack.top() if stack.top().leaf == live else None
        while (room := stack.free - stack.reserved + stack.gives_up(own)) < stack.tape_slots:
            if not stack.clean or stack.clean[0] is own:
                break
            yield from stack.evict(stack.clean[0])
        if room < stack.tape_slots:
            return False
        if own is not None:
            yield from stack.spend_top(resting=resting)
        stack.clock.compute(self._pace.keep)
        stack.keep_tape(live)
        yield Record(live * self._leaf_steps, (live + 1) * self._leaf_steps)
        return True

    def _reverse_leaf(self, live: int) -> Iterator[Action]:
        """Reverse the last leaf from its own state, which is live and not kept."""
        stack, pace = self._stack, self._pace
        if self._turned and stack.has_absent:
            seconds = pace.record + pace.pull_back
            top = stack.top()
            below = seconds + stack.seconds(live - top.leaf, top)
            yield from stack.prefetch(seconds, below, seconds)
        yield Record(live * self._leaf_steps, self._stop(), reach_stop=not self._turned)
        if self._turned:
            stack.clock.compute(pace.record)
        else:
            self._turned = True
            stack.clock.compute(pace.keep)
            yield from stack.cancel_writes()
            yield Turn()
            stack.clock.compute(stack.costs.turn)
            self.turned_at = stack.clock.now
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


def _alone(leaf: int) -> Place:
    return EvenSteps(leaf * GRID, GRID, 1), 0
