"""The actions of a spilling schedule, as they are decided: the forward sweep, then `reverse`."""

from collections.abc import Collection, Generator, Iterator

from adjoint.schedules.actions import Action
from adjoint.schedules.costs import Costs
from adjoint.schedules.protocol import AdaptiveStream, ResumePoint
from adjoint.schedules.spilling.bookkeeping import Bookkeeping
from adjoint.schedules.spilling.entry import Place
from adjoint.schedules.spilling.forecast import Forecast
from adjoint.schedules.spilling.parameters import SpillingParameters
from adjoint.schedules.spilling.reverse import PassOver, ReverseSweep
from adjoint.schedules.spilling.segments import LeafCosts, SegmentCosts
from adjoint.schedules.spilling.spacing import GRID, EvenSteps, ForwardPlan
from adjoint.schedules.spilling.stack import Stack

__all__ = ["SpillingStream"]


class SpillingStream(AdaptiveStream):
    """One iteration over a schedule whose end is known.

    Parameters
    ----------
    schedule
        Whose actions these are.
    point
        Where to resume an interrupted run; None to start one.
    pass_over
        See `ReverseSweep`.

    Raises
    ------
    ScheduleError
        The states of the resume point take more slots than there are, or do not include the
        initial one.
    """

    def __init__(
        self,
        schedule: SpillingParameters,
        point: ResumePoint | None = None,
        *,
        pass_over: PassOver | None = None,
    ) -> None:
        self._schedule = schedule
        leaf = LeafCosts.of(schedule.costs, schedule.leaf_steps)
        self._segments = SegmentCosts(leaf, schedule.tapes)
        self.books = Bookkeeping(schedule, self._segments)
        forecast = Forecast(self.books)
        self._stack = Stack(self.books, forecast)
        self.reversal = ReverseSweep(self.books, self._stack, forecast, self._segments, pass_over)
        self._pitch = self._planned_pitch = schedule.pitch
        """The present spacing in the file, in units of ``1 / GRID`` leaves; and without the changes
        of costs."""
        self._is_respaced = False
        """Whether the spacing has changed since the rest of the forward sweep was planned."""
        self._must_thin = False
        """Whether states in the file must make room for others."""
        self._point = ResumePoint((), 0) if point is None else point
        leaf_steps = schedule.leaf_steps
        self.books.take_over(
            [step // leaf_steps for step in self._point.in_file],
            [step // leaf_steps for step in self._point.in_memory],
        )
        self._actions = self._play()

    def __next__(self) -> Action:
        return next(self._actions)

    @property
    def seconds(self) -> float:
        """What has been played so far takes, by the virtual clock."""
        return self.books.clock.now

    def update_costs(self, costs: Costs) -> None:
        """Use other costs from now on.

        The spacing of what is still to be written changes as the ratio of a write to a step does,
        but it is not made closer than planned, or than saves a step (`_least_pitch`), where each
        state in the file takes more of the processor than it saves. Reads are posted as long ahead
        as they now take.
        """
        self._segments.update_costs(LeafCosts.of(costs, self._schedule.leaf_steps))
        self.books.update_costs(costs)
        pitch = max(self._least_pitch(costs), self._pitch_for(costs.write))
        self._is_respaced = self._is_respaced or pitch != self._pitch
        self._pitch = pitch

    def set_capacity(self, file_states: int) -> None:
        """Use another capacity of the file from now on, larger or smaller than announced.

        When it is full, the next write that finds no room has every other state discarded, and the
        spacing doubled.
        """
        self.books.max_in_file = file_states
        self._must_thin = file_states <= self.books.in_file

    def revised(self) -> SpillingParameters:
        """Return the schedule as it would be made by the costs that were announced last."""
        return self._schedule.respaced(self.books.costs, self._pitch, self.books.max_in_file)

    def _pitch_for(self, write: float) -> int:
        """Return the planned pitch, changed as the ratio of a write to a step has."""
        planned, leaf = self._schedule.costs, self._segments.leaf
        planned_advance = self._schedule.leaf_steps * planned.advance
        if leaf.advance == 0 or planned_advance == 0:
            return self._planned_pitch
        leaves = write / leaf.advance
        if planned.write == 0:
            return max(self._planned_pitch, round(leaves * GRID))
        return max(GRID, round(self._planned_pitch * leaves * planned_advance / planned.write))

    def _least_pitch(self, costs: Costs) -> int:
        """Return the least pitch at which transfers do not take more than they save.

        With `S` slots and states up to ``S + 2`` leaves apart, no leaf is taken again more than
        once: there, one state more saves no more than one leaf.
        """
        if costs.disturbance <= self._segments.leaf.advance:
            return GRID
        return min(self._planned_pitch, GRID * (self._schedule.num_slots + 2))

    # -- the forward sweep --------------------------------------------------------------------

    def _play(self) -> Iterator[Action]:
        reversal, point, num_steps = self.reversal, self._point, self._schedule.num_steps
        if point.reversed_to is not None:
            yield from self._play_reverse(point.reversed_to)
            return
        assert num_steps is not None
        reversal.set_end(num_steps)
        if point.live is None or point.live == num_steps:
            # The last leaf must be recorded before the turn, from a state that is kept.
            yield from reversal.reverse()
        elif reversal.end == 1 and self.books.is_empty:
            yield from reversal.reverse_leaf(0)
        else:
            live = yield from self._forward(self._first_live_leaf)
            yield from reversal.descend(live, from_slot=False)
            yield from reversal.reverse()

    def _play_reverse(self, reversed_to: int) -> Iterator[Action]:
        """Go on with a reverse sweep; where nothing is kept, the initial state is live."""
        if reversed_to == 0:
            return
        reversal = self.reversal
        reversal.has_turned = True
        reversal.set_end(reversed_to)
        if self.books.is_empty:
            if reversal.end == 1:
                yield from reversal.reverse_leaf(0)
                return
            yield from self._stack.store(0)
        yield from reversal.reverse()

    @property
    def _first_live_leaf(self) -> int:
        return (self._point.live or 0) // self._schedule.leaf_steps

    def _forward(self, live: int) -> Generator[Action, None, int]:
        """Keep states up to the last that is planned; return its leaf, which is live."""
        books, stack, end = self.books, self._stack, self.reversal.end
        plan = self._schedule.forward_plan(end, self._pitch)
        if live or not books.is_empty:
            stays = [leaf for leaf, in_file in plan.tail if not in_file]
            self._evict_leftovers_first(stays)
            planned = self._replan(live)
        else:
            planned = _states_of(plan)
        while (state := next(planned, None)) is not None:
            leaf, place = state
            if leaf > live:
                yield self.reversal.advance(live, leaf)
                live = leaf
            if leaf == end - 1:
                break  # it is recorded at once
            if place is not None:
                yield from self._thin()
            yield from stack.make_room()
            if books.free:
                yield from self._store(leaf, place)
            if self._is_respaced:
                planned = self._replan(live)
        return live

    def _thin(self) -> Iterator[Action]:
        """Discard every other state in the file if it is full, and double the spacing."""
        if self.books.in_file >= self.books.max_in_file:
            yield from self._stack.thin()
            self._planned_pitch *= 2
            self._pitch *= 2
            self._is_respaced = True

    def _store(self, leaf: int, place: Place | None) -> Iterator[Action]:
        """Keep the live state: in the file, if it is to go there and there is room."""
        if place is None or self.books.in_file < self.books.max_in_file:
            yield from self._stack.store(leaf, place)
        elif leaf == 0:
            yield from self._stack.store(leaf)  # stays in its slot: all else is recomputed from it
        else:
            yield from self._stack.store_for_now(leaf)

    def _replan(self, live: int) -> Iterator[tuple[int, Place | None]]:
        """Give the states still to be kept right of the live one, at the present spacing.

        The file holds no more states than it has room for.
        """
        books, end = self.books, self.reversal.end
        self._is_respaced = False
        room = max(1, books.max_in_file - books.in_file)
        pitch = max(self._pitch, -(-(end - live) * GRID // room))
        for leaf, place in _states_of(self._schedule.forward_plan(end, pitch)):
            near = place is not None and (leaf - live) * GRID < pitch - GRID
            if leaf > live and not near and self._has_room(place):
                yield leaf, place

    def _has_room(self, place: Place | None) -> bool:
        return place is None or self.books.in_file < self.books.max_in_file or self._must_thin

    def _evict_leftovers_first(self, stays: Collection[int] = ()) -> None:
        """Have states that a resumed run found in slots alone make room for those to come.

        They were to go to the file, and would take their slots for the whole run. The initial state
        must stay, since nothing recomputes it; so may those that are planned to stay in memory.
        """
        books = self.books
        books.evict_first += [
            state
            for state in books.kept
            if not state.in_file and state.leaf and state.leaf not in stays
        ]


def _states_of(plan: ForwardPlan) -> Iterator[tuple[int, Place | None]]:
    """Give the leaves whose states a plan keeps, with their places in the file if they go there."""
    yield 0, (EvenSteps.single(0), 0) if plan.first_in_file else None
    for k in range(plan.spaced.count):
        yield plan.spaced.leaf(k), (plan.spaced, k)
    for leaf, in_file in plan.tail:
        yield leaf, (EvenSteps.single(leaf), 0) if in_file else None
