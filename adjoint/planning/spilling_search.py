"""The best spilling stack for a run: how far apart, what stays in memory, and the rest.

Spacings and tails are ranked by `spilling_estimate`, then the best of them are rehearsed
(`spilling_rehearsals`), and further rules are tried on the best of those, one after the other.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, product
from math import ceil, inf

from adjoint.planning.candidates import Candidate, Problem
from adjoint.planning.spilling_estimate import REREAD, SpillingEstimate
from adjoint.planning.spilling_rehearsals import (
    MAX_ERROR,
    MAX_WINDOW_LEAVES,
    SHORT_LEAVES,
    Rehearsals,
    TooManyActionsError,
)
from adjoint.schedules import Spilling
from adjoint.schedules.revolve import beta
from adjoint.schedules.spilling.spacing import GRID, ForwardPlan, plan_forward
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["best_spilling"]

MAX_ACTIONS = 30_000
"""Actions of all rehearsals of one search, or a little more: less than 0.2 seconds."""

MAX_TIMED_ACTIONS = 24_000
"""Actions of the rehearsals of `timed` stacks besides: nothing is passed over in them."""

MAX_TRIED_REPEATS = 7
"""The largest `tail_repeats` tried: a tail in memory is a small part of a long run."""

TAIL_SLOTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
"""The `tail_slots` tried, besides half of the slots and all but one: neighbours differ little."""

FINENESS = ((8, GRID // 32), (32, GRID // 8), (128, GRID // 2), (inf, GRID))
"""(leaves, unit): spacings of fewer leaves are multiples of the unit, in ``1 / GRID`` leaves. Close
ones profit from a fraction; coarse units let the distances repeat soon, and so windows be short."""

FEW_LEAVES = 16
"""For runs of up to this many leaves all spacings are rehearsed, and all short tails."""

FEW_SLOTS = 8
"""With up to this many slots, one that a read holds counts for more: `reread` is raised."""

FRONT_RUNNERS = 10
"""Spacings and tails that are rehearsed, those with the best estimates first."""

MAX_TIMED_SLOTS = 6
TIMED_LEAVES = (24, 256)
"""Where `timed` stacks are rehearsed: with more slots, or closer spacings, they gain little; wider
ones take long to plan."""

# Rules tried on the best stack, in this order.
PATIENCES = (1.0, 3.0)
SPLITS = (0.0, 1.0)
FORESIGHTS = (0.7, 0.5, 1.0)


def best_spilling(problem: Problem) -> Candidate | None:
    """Return the best spilling stack found; None where there is no room for one.

    `problem.tape_slots` says whether tapes are kept.
    """
    if problem.num_leaves < 2 or problem.num_slots < 1 or problem.file_states < 1:
        return None
    ranking = _Ranking(problem)
    ranked = ranking.stacks()
    if not ranked:
        return None
    search = _Search(ranking, ranked[0])
    if problem.num_leaves <= FEW_LEAVES:
        search.rehearse_all()
        return search.candidate()
    keep_back = search.rehearsals.actions_left // 2
    for schedule in ranked[:FRONT_RUNNERS]:
        search.rehearse(schedule, keep_back=keep_back)
    for schedule in search.undisturbed():
        search.rehearse(schedule)
    search.rehearse_rules()
    for patience in PATIENCES:
        search.rehearse(replace(search.best, patience=patience))
    if search.has_timed:
        search.rehearse_timed()
    return search.candidate()


class _Ranking:
    """Spilling stacks for one run, and what they take by their estimates."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.estimates = SpillingEstimate(problem)

    def stacks(self) -> list[Spilling]:
        """Return the stacks worth rehearsing, the best estimate first."""
        ranked = sorted(self._ranked(), key=lambda found: found[0])
        return [stack for _, stack in ranked]

    def fits(self, plan: ForwardPlan) -> bool:
        """Return whether the file has room, and the tail can be rehearsed."""
        begins = plan.tail[0][0] if plan.tail else self.problem.num_leaves
        short = self.problem.num_leaves - begins <= max(SHORT_LEAVES, MAX_WINDOW_LEAVES // 2)
        return short and plan.file_states <= self.problem.file_states

    def plan(self, pitch: int, tail_slots: int, tail_repeats: int) -> ForwardPlan:
        """Return the states that a stack keeps, at a pitch in units of ``1 / GRID`` leaves."""
        return plan_forward(
            self.problem.num_leaves,
            self.problem.num_slots,
            pitch,
            tail_slots=tail_slots,
            tail_repeats=tail_repeats,
        )

    def stack(self, pitch: int, tail_slots: int, tail_repeats: int) -> Spilling:
        """Return the stack itself, with default rules."""
        problem = self.problem
        return Spilling(
            problem.num_steps,
            problem.num_slots,
            pitch * problem.leaf_steps / GRID,
            costs=problem.costs,
            leaf_steps=problem.leaf_steps,
            tail_slots=tail_slots,
            tail_repeats=tail_repeats,
            tape_slots=problem.tape_slots,
            max_file_states=problem.file_states,
        )

    def _ranked(self) -> Iterator[tuple[float, Spilling]]:
        """Give, for every spacing worth trying, the stack of the best tail and its estimate.

        Estimates are too low where a tail takes most slots, since writes under way hold some of
        them: the best of the tails that take few is given as well.
        """
        seen: set[ForwardPlan] = set()
        for pitch in sorted(self._pitches()):
            tried = [
                (self.estimates.seconds(plan), tails, repeats, plan)
                for tails in _tails(self.problem.num_slots)
                for repeats in self._repeats(pitch, tails)
                if self.fits(plan := self.plan(pitch, tails, repeats))
            ]
            few = [found for found in tried if found[1] <= max(1, self.problem.num_slots // 3)]
            for group in (tried, few):
                if group:
                    seconds, tails, repeats, plan = min(group, key=lambda found: found[0])
                    if plan not in seen:
                        seen.add(plan)
                        yield seconds, self.stack(pitch, tails, repeats)

    def _pitches(self) -> set[int]:
        """Return the spacings worth trying, in units of ``1 / GRID`` leaves."""
        problem, natural, slots = self.problem, self.estimates.natural, self.problem.num_slots
        leaves = {natural * factor for factor in (0.9, 0.95, 1, 1.05, 1.1, 1.2)}
        leaves |= {float(ceil(natural))}
        # the longest segments that Revolve reverses with a number of repetitions
        wide = [beta(s, r) for s in (slots, slots + 1) for r in range(1, 12)]
        leaves |= {float(b) for b in wide if 0.85 * natural <= b <= 1.6 * natural}
        slow = [self._slow_read(locked) for locked in (-1, 0, 1)]
        leaves |= {factor * length for length in slow if length > natural for factor in (1, 1.1)}
        # a short run may send more to the file than the file can take: slots hold the rest
        hidden = problem.num_leaves / (problem.num_leaves / natural + slots)
        leaves |= {max(1.0, hidden), max(1.0, (hidden + natural) / 2)}
        if problem.num_leaves > SHORT_LEAVES:
            leaves = {length for length in leaves if length >= natural}
        room = ceil(problem.num_leaves * GRID / max(1, problem.file_states - 2))
        least = GRID if problem.file_states >= problem.num_leaves else room
        most = problem.num_leaves * GRID
        return {min(most, max(least, _rounded(length))) for length in leaves}

    def _slow_read(self, locked: int) -> float:
        """Return the fewest leaves whose reversal takes as long as a read."""
        few, many = 1, 1
        while self.estimates.from_file(many, locked) < self.problem.costs.read:
            few, many = many, 2 * many
            if many >= self.problem.num_leaves:
                return float(self.problem.num_leaves)
        while many - few > 1:
            middle = (few + many) // 2
            if self.estimates.from_file(middle, locked) < self.problem.costs.read:
                few = middle
            else:
                many = middle
        return float(many)

    def _repeats(self, pitch: int, tail_slots: int) -> Iterator[int]:
        """Give the `tail_repeats` worth trying: segments far longer than the spacing are not."""
        for repeats in range(MAX_TRIED_REPEATS + 1):
            yield repeats
            if beta(self.problem.num_slots - tail_slots + 1, repeats) * GRID > 2 * pitch:
                return


class _Search:
    """The best of the stacks rehearsed so far."""

    def __init__(self, ranking: _Ranking, first: Spilling) -> None:
        self.problem = ranking.problem
        self.ranking = ranking
        self.estimates = ranking.estimates
        self.best = first
        self.seconds = inf
        self.relative_error = MAX_ERROR
        most = MAX_ACTIONS // 2 if self.has_timed else MAX_ACTIONS
        self.rehearsals = Rehearsals(self.estimates.segments, most)
        self._timing: TimedTable | None = None
        self._tried: set[Spilling] = set()

    @property
    def has_timed(self) -> bool:
        """Whether it pays to account for the slots that transfers hold."""
        few = self.problem.tape_slots > 0 and self.problem.num_slots <= MAX_TIMED_SLOTS
        return few and TIMED_LEAVES[0] <= self.estimates.natural <= TIMED_LEAVES[1]

    def candidate(self) -> Candidate:
        """Return the best of what was rehearsed."""
        schedule = self.best
        if schedule.timed:
            schedule.share_tables(timing=self._timing)
        reason = f"a state to the file every {schedule.interval:.4g} steps, none waited for"
        if self.problem.tape_slots:
            reason += "; tapes are kept where they fit"
        return Candidate(schedule, self.seconds, reason, self.relative_error, is_adaptive=True)

    # -- what is rehearsed ---------------------------------------------------------------------

    def undisturbed(self) -> Iterator[Spilling]:
        """Give the widest spacings at which no step is taken again more than once, or twice.

        Estimates do not contain what transfers take of the processor: where that is much, a state
        in the file that saves one leaf is not worth it.
        """
        problem = self.problem
        if problem.costs.disturbance <= problem.leaf_steps * problem.costs.advance:
            return
        for repeats in (1, 2):
            leaves = beta(problem.num_slots + 1, repeats)
            pitch = GRID * min(leaves, problem.num_leaves)
            if leaves > self.estimates.natural and self.ranking.fits(
                self.ranking.plan(pitch, 0, 0)
            ):
                yield self.ranking.stack(pitch, 0, 0)

    def rehearse_all(self) -> None:
        """Rehearse whatever may be best for a very short run."""
        seen: set[tuple[ForwardPlan, float]] = set()
        tails = range(min(3, self.problem.num_slots))
        fine, coarse = GRID // 8, GRID // 2
        most = self.problem.num_leaves * GRID + 1
        for pitch, tail, repeats, split in chain(
            product(range(GRID, most, fine), (0,), (0,), (0.0, 1.0)),
            product(range(GRID, most, coarse), tails, range(3), (0.0, 1.0)),
        ):
            plan = self.ranking.plan(pitch, tail, repeats)
            if plan.file_states <= self.problem.file_states and (plan, split) not in seen:
                seen.add((plan, split))
                stack = self.ranking.stack(pitch, tail, repeats)
                self.rehearse(replace(stack, patience=1.0, split=split))

    def rehearse_rules(self) -> None:
        """Rehearse other rules for what is kept between two states of the file."""
        if not self.problem.tape_slots:
            for split in SPLITS:
                self.rehearse(replace(self.best, split=split))
            return
        for foresight in FORESIGHTS:
            self.rehearse(replace(self.best, foresight=foresight))
        self.rehearse(replace(self.best, patience=PATIENCES[-1], foresight=FORESIGHTS[0]))
        if self.problem.num_slots <= FEW_SLOTS:
            self.rehearse(replace(self.best, reread=2 * REREAD, patience=2.0, foresight=0.0))

    def rehearse_timed(self) -> None:
        """Rehearse stacks that account for the slots that transfers hold."""
        natural, best = _rounded(self.estimates.natural), self.best
        stacks = [
            replace(self.ranking.stack(natural, tails, repeats), patience=1.0, timed=True)
            for tails, repeats in dict.fromkeys([(best.tail_slots, best.tail_repeats), (0, 0)])
        ]
        self._timing = stacks[-1].timing
        self.rehearsals.actions_left = MAX_TIMED_ACTIONS
        for stack in stacks:
            self.rehearse(stack)

    def rehearse(self, schedule: Spilling, *, keep_back: int = 0) -> None:
        """Find out what a schedule takes; keep it if it is the best so far.

        Once no more than `keep_back` actions are left nothing is played; then only the first
        schedule counts, by its estimate.
        """
        if schedule in self._tried:
            return
        self._tried.add(schedule)
        if self.rehearsals.actions_left <= keep_back:
            self._take_unplayed(schedule)
            return
        tapes = self.estimates.table if schedule.reread == REREAD else None
        timing = self._timing if schedule.timed else None
        try:
            seconds, error = self.rehearsals.estimate(schedule, tapes, timing)
        except TooManyActionsError:
            self._take_unplayed(schedule)
            return
        if (1 + error) * seconds < (1 + self.relative_error) * self.seconds:
            self.best, self.seconds, self.relative_error = schedule, seconds, error

    def _take_unplayed(self, schedule: Spilling) -> None:
        """Take a schedule by its estimate, if nothing better is known."""
        if self.seconds == inf:
            plan = schedule.forward_plan(self.problem.num_leaves, schedule.pitch)
            self.best = schedule
            self.seconds = self.problem.costs.slowdown * self.estimates.seconds(plan)


def _rounded(leaves: float) -> int:
    """Return a spacing, rounded up to its `FINENESS`, in units of ``1 / GRID`` leaves."""
    unit = next(unit for most, unit in FINENESS if leaves < most)
    return unit * ceil(leaves * GRID / unit)


def _tails(num_slots: int) -> list[int]:
    """Return the numbers of states worth trying to keep in memory."""
    counts = {*TAIL_SLOTS, num_slots // 2, num_slots - 1}
    return sorted(count for count in counts if 0 <= count < num_slots)
