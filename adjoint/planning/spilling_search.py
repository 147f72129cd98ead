"""The best spilling stack for a run: how far apart, what stays in memory, and the rest.

Spacings and tails are reckoned first (`spilling_reckoning`), then rehearsed: the schedule's own
virtual clock plays the front runners, the whole run if it is short, else its last few segments.
From these the rest follows, if the time that a segment takes no longer changes; that is looked at,
and where it does change the result is doubted. So what the search takes does not grow with the
number of steps.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain, product
from math import ceil, inf

from adjoint.planning.candidates import Candidate, Problem
from adjoint.planning.spilling_reckoning import REREAD, Reckoning
from adjoint.planning.spilling_window import BLIND, Window, period_of
from adjoint.schedules import Spilling
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.revolve import beta
from adjoint.schedules.spilling.rehearsal import Rehearsal
from adjoint.schedules.spilling.spacing import GRID, ForwardPlan, plan_forward
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["best_spilling"]

MOST_REPEATS = 7
"""The largest `tail_repeats` tried: a tail in memory is a small part of a long run."""

REHEARSED_ACTIONS = 2_500
"""Of one rehearsal, at the most: longer runs are extrapolated."""

ALL_ACTIONS = 30_000
"""Of all rehearsals of one search, or a little more: less than two tenths of a second."""

DOUBT = 0.002
"""By how much an extrapolation may be off."""

LONGEST_WINDOW = 10_000
"""Leaves from the end of a run that are rehearsed at the most."""

SEGMENTS = 8
"""Segments, besides the tail, that a rehearsal of a long run must have to be believed."""

SHORT_LEAVES = 3_000
"""Runs of so few leaves are rehearsed as a whole. For them, more may be sent to the file than it
can take: slots hold the rest. The end of a longer run would tell nothing of that."""

FINENESS = ((8, GRID // 32), (32, GRID // 8), (128, GRID // 2), (inf, GRID))
"""Up to which number of leaves a spacing is a multiple of what, in units of ``1 / GRID``."""

FEW_LEAVES = 16
"""For runs of so few leaves all spacings are rehearsed, and all short tails."""

FEW_SLOTS = 8
"""With so few slots, one that is held by a read counts for more."""

TIMED_SLOTS = 6
"""With so few slots, what transfers hold of them is worth reckoning with."""

TIMED_LEAVES = (24, 256)
"""Spacings for which that is done: closer ones gain little, wider ones take long to plan."""

TIMED_ACTIONS = 24_000
"""Of these rehearsals, at the most: nothing is passed over in them."""

FRONT_RUNNERS = 10
PATIENCES = (1.5, 1.0, 3.0)
SPLITS = (0.5, 0.0, 1.0)
FORESIGHTS = (0.7, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """One spilling stack, in leaves."""

    pitch: int
    """Leaves between two states in the file, in units of ``1 / GRID``."""
    tail_slots: int
    tail_repeats: int
    patience: float = PATIENCES[0]
    split: float = SPLITS[0]
    foresight: float = 0.0
    reread: float = REREAD
    timed: bool = False

    def schedule(
        self, case: Problem, tapes: TapeTable | None = None, timing: TimedTable | None = None
    ) -> Spilling:
        """Return the schedule itself; tables that are large enough save making them."""
        schedule = Spilling(
            case.num_steps,
            case.num_slots,
            self.pitch * case.leaf_steps / GRID,
            costs=case.costs,
            leaf_steps=case.leaf_steps,
            tail_slots=self.tail_slots,
            tail_repeats=self.tail_repeats,
            split=self.split,
            patience=self.patience,
            foresight=self.foresight,
            reread=self.reread,
            tape_slots=case.tape_slots,
            timed=self.timed,
            max_file_states=case.file_states,
        )
        schedule.share_tables(
            tapes if self.reread == REREAD else None, timing if self.timed else None
        )
        return schedule


def best_spilling(case: Problem) -> Candidate | None:
    """Return the best spilling stack found; None where there is no room for one.

    `case.tape_slots` says whether tapes are kept.
    """
    search = _Search(case)
    if case.num_leaves < 2 or case.num_slots < 1 or case.file_states < 1 or not search.variants:
        return None
    if case.num_leaves <= FEW_LEAVES:
        search.rehearse_all()
        return search.offer()
    keep_back = search.actions_left // 2
    for _reckoned, variant in search.variants[:FRONT_RUNNERS]:
        search.rehearse(variant, keep_back=keep_back)
    for variant in search.undisturbed():
        search.rehearse(variant)
    search.rehearse_rules()
    for patience in PATIENCES[1:]:
        search.rehearse(replace(search.best, patience=patience))
    if search.has_timed:
        search.rehearse_timed()
    return search.offer()


class _TooLongError(Exception):
    """A rehearsal would take longer than the whole search may."""


class _Search:
    """Variants, and the best of those rehearsed so far."""

    def __init__(self, case: Problem) -> None:
        self.case = case
        self.reckoning = Reckoning(case)
        self.variants = sorted(self._variants(), key=lambda found: found[0])
        self.best = self.variants[0][1] if self.variants else Variant(GRID, 0, 0)
        self.seconds = inf
        self.relative_error = BLIND
        self.actions_left = ALL_ACTIONS // 2 if self.has_timed else ALL_ACTIONS
        self._timing: TimedTable | None = None
        self._tried: set[Variant] = set()

    @property
    def has_timed(self) -> bool:
        """Whether it is worth reckoning with the slots that transfers hold."""
        few = self.case.tape_slots > 0 and self.case.num_slots <= TIMED_SLOTS
        return few and TIMED_LEAVES[0] <= self.reckoning.natural <= TIMED_LEAVES[1]

    def offer(self) -> Candidate:
        """Return the best of what was rehearsed."""
        schedule = self.best.schedule(self.case, timing=self._timing)
        reason = f"a state to the file every {schedule.interval:.4g} steps, none waited for"
        if self.case.tape_slots:
            reason += "; tapes are kept where they fit"
        return Candidate(schedule, self.seconds, reason, self.relative_error)

    def undisturbed(self) -> Iterator[Variant]:
        """Give the widest spacings at which no step is taken again more than once, or twice.

        What transfers take of the processor is not reckoned: where it is much, a state in the file
        that saves one leaf is not worth it.
        """
        case = self.case
        if case.costs.disturbance <= case.leaf_steps * case.costs.advance:
            return
        for repeats in (1, 2):
            leaves = beta(case.num_slots + 1, repeats)
            variant = Variant(GRID * min(leaves, case.num_leaves), 0, 0)
            if leaves > self.reckoning.natural and self._fits(self._keeps(variant)):
                yield variant

    def rehearse_all(self) -> None:
        """Rehearse whatever may be best for a very short run."""
        seen: set[tuple[ForwardPlan, float]] = set()
        tails = range(min(3, self.case.num_slots))
        fine, coarse = GRID // 8, GRID // 2
        most = self.case.num_leaves * GRID + 1
        for pitch, tail, repeats, split in chain(
            product(range(GRID, most, fine), (0,), (0,), (0.0, 1.0)),
            product(range(GRID, most, coarse), tails, range(3), (0.0, 1.0)),
        ):
            variant = Variant(pitch, tail, repeats, 1.0, split)
            keeps = self._keeps(variant)
            if keeps.file_states <= self.case.file_states and (keeps, split) not in seen:
                seen.add((keeps, split))
                self.rehearse(variant)

    def rehearse_rules(self) -> None:
        """Rehearse other rules for what is kept between two states of the file."""
        if self.case.tape_slots:
            for foresight in FORESIGHTS:
                self.rehearse(replace(self.best, foresight=foresight))
            self.rehearse(replace(self.best, patience=PATIENCES[-1], foresight=FORESIGHTS[0]))
            if self.case.num_slots <= FEW_SLOTS:
                self.rehearse(replace(self.best, reread=2 * REREAD, patience=2.0, foresight=0.0))
        else:
            for split in SPLITS[1:]:
                self.rehearse(replace(self.best, split=split))

    def rehearse_timed(self) -> None:
        """Rehearse what reckons with the slots that transfers hold."""
        natural, best = _coarsely(self.reckoning.natural), self.best
        variants = [
            Variant(natural, tails, repeats, patience=1.0, timed=True)
            for tails, repeats in dict.fromkeys([(best.tail_slots, best.tail_repeats), (0, 0)])
        ]
        self._timing = variants[-1].schedule(self.case).timing
        self.actions_left = TIMED_ACTIONS
        for variant in variants:
            self.rehearse(variant)

    def rehearse(self, variant: Variant, *, keep_back: int = 0) -> None:
        """Find out what a variant takes; keep it if it is the best so far.

        Nothing is done once no more than `keep_back` actions are left, but for the first one.
        """
        if variant in self._tried:
            return
        self._tried.add(variant)
        keeps = self._keeps(variant)
        if self.actions_left <= keep_back:
            self._guess(variant, keeps)
            return
        try:
            seconds, relative_error = self._seconds(variant, keeps)
        except _TooLongError:
            self._guess(variant, keeps)
            return
        if (1 + relative_error) * seconds < (1 + self.relative_error) * self.seconds:
            self.best, self.seconds, self.relative_error = variant, seconds, relative_error

    def _guess(self, variant: Variant, keeps: ForwardPlan) -> None:
        """Take a variant by what it is reckoned to take, if nothing better is known."""
        if self.seconds == inf:
            self.best, self.seconds = (
                variant,
                self.case.costs.slowdown * self.reckoning.whole(keeps),
            )

    def _seconds(self, variant: Variant, keeps: ForwardPlan) -> tuple[float, float]:
        """Return what a variant takes, and how far that is to be pessimistic_seconds."""
        whole = self.case.num_leaves
        if whole <= SHORT_LEAVES:
            return self._rehearsed(variant, whole).seconds, 0.0
        tail = whole - keeps.tail[0][0] if keeps.tail else 0
        each = ceil(keeps.spaced.pitch / GRID)
        fewest, believed = self._segments(keeps.spaced.pitch)
        if tail + fewest * each >= whole:
            return self._rehearsed(variant, whole).seconds, 0.0
        window = self._window(variant, tail + fewest * each)
        segments = fewest * REHEARSED_ACTIONS // window.rehearsal.actions
        if segments > fewest:
            leaves = tail + segments * each
            if leaves >= whole:
                return self._rehearsed(variant, whole).seconds, 0.0
            window = self._window(variant, leaves)
        moved, costs = max(0, keeps.file_states - self.case.num_slots), self.case.costs
        seconds = window.extended(whole, moved * costs.write, moved * costs.read)
        return seconds, max(DOUBT, window.unrest) if believed else BLIND

    def _segments(self, pitch: int) -> tuple[int, bool]:
        """Return how many segments tell of the rest, and whether they can be believed."""
        each = ceil(pitch / GRID)
        fewest = max(SEGMENTS, 2 * period_of(pitch) + 3)
        if self.case.costs.read > self.reckoning.alone(each, 0):
            # reads are behind from the turn on, so it counts how many states were still in slots
            fewest += self.case.num_slots
        if fewest * each <= LONGEST_WINDOW:
            return fewest, True
        return SEGMENTS, fewest == SEGMENTS

    def _window(self, variant: Variant, leaves: int) -> "Window":
        """Rehearse the last leaves of the run."""
        comb = plan_forward(
            leaves,
            self.case.num_slots,
            variant.pitch,
            tail_slots=variant.tail_slots,
            tail_repeats=variant.tail_repeats,
        ).spaced
        period = period_of(comb.pitch)
        span = max(1, comb.count // (4 * period)) * period
        marks = tuple(comb.leaf(min(comb.count - 1, 1 + k * span)) for k in range(3))
        return Window(leaves, marks, self._rehearsed(variant, leaves, marks))

    def _rehearsed(self, variant: Variant, leaves: int, marks: Collection[int] = ()) -> Rehearsal:
        case = self.case
        if leaves < case.num_leaves:
            case = replace(case, num_steps=leaves * case.leaf_steps)
        rehearsal = Rehearsal(variant.schedule(case, self.reckoning.table, self._timing))
        done = rehearsal.run(marks, max_actions=max(self.actions_left, REHEARSED_ACTIONS))
        self.actions_left -= rehearsal.actions
        if not done:
            raise _TooLongError
        return rehearsal

    def _keeps(self, variant: Variant) -> ForwardPlan:
        return plan_forward(
            self.case.num_leaves,
            self.case.num_slots,
            variant.pitch,
            tail_slots=variant.tail_slots,
            tail_repeats=variant.tail_repeats,
        )

    def _variants(self) -> Iterator[tuple[float, Variant]]:
        """Give, for every spacing worth trying, the best tails and what they are reckoned to take.

        A tail that takes most slots is reckoned too well, since writes under way hold some of them:
        the best of those that take few is given as well.
        """
        seen: set[ForwardPlan] = set()
        for pitch in sorted(self._pitches()):
            tried = [
                (self.reckoning.whole(keeps), tails, repeats, keeps)
                for tails in _tails(self.case.num_slots)
                for repeats in self._repeats(pitch, tails)
                if self._fits(keeps := self._keeps(Variant(pitch, tails, repeats)))
            ]
            few = [found for found in tried if found[1] <= max(1, self.case.num_slots // 3)]
            for group in (tried, few):
                if group:
                    seconds, tails, repeats, keeps = min(group, key=lambda found: found[0])
                    if keeps not in seen:
                        seen.add(keeps)
                        yield seconds, Variant(pitch, tails, repeats)

    def _fits(self, keeps: ForwardPlan) -> bool:
        """Return whether the file has room, and the tail can be rehearsed."""
        begins = keeps.tail[0][0] if keeps.tail else self.case.num_leaves
        short = self.case.num_leaves - begins <= max(SHORT_LEAVES, LONGEST_WINDOW // 2)
        return short and keeps.file_states <= self.case.file_states

    def _repeats(self, pitch: int, tail_slots: int) -> Iterator[int]:
        """Give the `tail_repeats` worth trying: pieces far longer than the spacing are not."""
        for repeats in range(MOST_REPEATS + 1):
            yield repeats
            if beta(self.case.num_slots - tail_slots + 1, repeats) * GRID > 2 * pitch:
                return

    def _pitches(self) -> set[int]:
        case, reckoning = self.case, self.reckoning
        natural, slots = reckoning.natural, case.num_slots
        leaves = {natural * factor for factor in (0.9, 0.95, 1, 1.05, 1.1, 1.2)}
        leaves |= {float(ceil(natural))}
        wide = [beta(s, r) for s in (slots, slots + 1) for r in range(1, 12)]
        leaves |= {float(b) for b in wide if 0.85 * natural <= b <= 1.6 * natural}
        slow = [self._slow_read(locked) for locked in (-1, 0, 1)]
        leaves |= {factor * length for length in slow if length > natural for factor in (1, 1.1)}
        # a short run may send more to the file than the file can take: slots hold the rest
        hidden = case.num_leaves / (case.num_leaves / natural + slots)
        leaves |= {max(1.0, hidden), max(1.0, (hidden + natural) / 2)}
        if case.num_leaves > SHORT_LEAVES:
            leaves = {length for length in leaves if length >= natural}
        room = ceil(case.num_leaves * GRID / max(1, case.file_states - 2))
        least = GRID if case.file_states >= case.num_leaves else room
        most = case.num_leaves * GRID
        return {min(most, max(least, _coarsely(length))) for length in leaves}

    def _slow_read(self, locked: int) -> float:
        """Return the fewest leaves whose reversal takes as long as a read."""
        few, many = 1, 1
        while self.reckoning.alone(many, locked) < self.case.costs.read:
            few, many = many, 2 * many
            if many >= self.case.num_leaves:
                return float(self.case.num_leaves)
        while many - few > 1:
            middle = (few + many) // 2
            if self.reckoning.alone(middle, locked) < self.case.costs.read:
                few = middle
            else:
                many = middle
        return float(many)


def _coarsely(leaves: float) -> int:
    """Return a spacing, rounded up so that it repeats soon; wide ones need not be as fine."""
    unit = next(unit for most, unit in FINENESS if leaves < most)
    return unit * ceil(leaves * GRID / unit)


def _tails(num_slots: int) -> list[int]:
    """Return numbers of states worth trying to keep in memory."""
    few = {0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, num_slots // 2, num_slots - 1}
    return sorted(count for count in few if 0 <= count < num_slots)
