"""The best spilling stack for a run: how far apart, what stays in memory, and the rest.

Reckoned first, then rehearsed. *Reckoned*: every piece between two kept states costs what Revolve,
or the table of tapes, says of it with the slots it will have, and no less than the read that must
be done meanwhile; the forward sweep takes no less than its writes. *Rehearsed*: the schedule's own
virtual clock plays the front runners, the whole run if it is short, else its last few segments,
from which the rest follows, because the time that a segment takes no longer changes. So what the
search takes does not grow with the number of steps.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, inf

from adjoint.pricing import Case, Offer
from adjoint.schedules import Spilling
from adjoint.schedules.revolve import beta
from adjoint.schedules.spilling import TABLE_LEAVES
from adjoint.schedules.spilling_keeps import GRID, KeepPlan, plan_keeps
from adjoint.schedules.spilling_pieces import Pieces
from adjoint.schedules.spilling_rehearsal import Rehearsal
from adjoint.schedules.tape_table import TapeTable

__all__ = ["best_spilling", "reckoned"]

MOST_REPEATS = 7
"""The largest `tail_repeats` tried: a tail in memory is a small part of a long run."""

REHEARSED_ACTIONS = 5_000
"""Of one rehearsal, at the most: longer runs are extrapolated."""

ALL_ACTIONS = 60_000
"""Of all rehearsals of one search, or a little more: less than two tenths of a second."""

SEGMENTS = 5
"""Segments, besides the tail, that a rehearsal of a long run must have to be believed."""

HURRIED = 0.97
"""Spacings of less than this share of what the file can take are tried for short runs only: the end
of a run tells nothing of them, because slots hold what was not written yet."""

SHORT_LEAVES = 3_000
"""Runs of so few leaves are short: they are rehearsed as a whole."""

FRONT_RUNNERS = 10
PATIENCES = (1.5, 1.0, 3.0)
SPLITS = (0.5, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """One spilling stack, in leaves."""

    pitch: int
    """Leaves between two states in the file, in units of ``1 / GRID``."""
    tail_slots: int
    tail_repeats: int
    patience: float = PATIENCES[0]
    split: float = SPLITS[0]

    def schedule(self, case: Case, tapes: TapeTable | None = None) -> Spilling:
        """Return the schedule itself; a table of tapes that is large enough saves making one."""
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
            tape_slots=case.tape_slots,
            file_states=case.file_states,
        )
        if tapes is not None:
            schedule.tapes = tapes
        return schedule


def best_spilling(case: Case) -> Offer | None:
    """Return the best spilling stack found; None where there is no room for one.

    `case.tape_slots` says whether tapes are kept.
    """
    search = _Search(case)
    if case.num_leaves < 2 or case.num_slots < 1 or case.file_states < 1 or not search.variants:
        return None
    for _reckoned, variant in search.variants[:FRONT_RUNNERS]:
        search.rehearse(variant, keep_back=ALL_ACTIONS // 3)
    for split in SPLITS[1:]:
        search.rehearse(replace(search.best, split=split))
    for patience in PATIENCES[1:]:
        search.rehearse(replace(search.best, patience=patience))
    schedule = search.best.schedule(case)
    reason = f"a state to the file every {schedule.interval:.4g} steps, none waited for"
    if case.tape_slots:
        reason += "; tapes are kept where they fit"
    return Offer(schedule, search.seconds, reason, is_exact=search.is_exact)


def reckoned(case: Case) -> float:
    """Return roughly what the best spilling stack takes: enough to compare sizes of leaves."""
    costs = _Reckoning(case)
    pitch = max(GRID, costs.least_pitch)
    return costs.steady(pitch) * case.num_leaves


class _Reckoning:
    """Seconds of spilling stacks in closed form."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.pace = case.pace
        self.table: TapeTable | None = None
        if case.tape_slots:
            most = min(case.num_leaves, 2 * ceil(self.natural) + 2, TABLE_LEAVES)
            self.table = TapeTable(
                most, case.num_slots, tape_slots=case.tape_slots, unreached=self.pace.unreached
            )
        self.pieces = Pieces(self.pace, SPLITS[0], self.table)

    @property
    def natural(self) -> float:
        """Leaves that take as long as a write."""
        if self.pace.advance == 0:
            return 1.0
        return max(1.0, min(self.case.costs.write / self.pace.advance, self.case.num_leaves))

    @property
    def least_pitch(self) -> int:
        """The spacing at which the file holds all that is sent to it, or writes keep up."""
        room = max(1, self.case.file_states - 2)
        full = -(-self.case.num_leaves * GRID // room)
        return max(ceil(self.natural * GRID), full)

    def steady(self, pitch: int) -> float:
        """Return the seconds per leaf far from both ends."""
        case, leaves = self.case, pitch / GRID
        low, part = divmod(pitch, GRID)
        seconds = self.piece(low, 0, True)
        if part:
            seconds += part / GRID * (self.piece(low + 1, 0, True) - seconds)
        forward = max(leaves * self.pace.advance, case.costs.write)
        return (forward + seconds) / leaves

    def piece(self, leaves: int, locked: int, in_file: bool) -> float:
        """Return the seconds of reversing a piece, and of the read that goes on meanwhile."""
        slots = max(0 if in_file else 1, self.case.num_slots - locked)
        seconds = self.pieces.seconds_and_split(leaves, slots, in_file)[0]
        return max(seconds, self.case.costs.read) if in_file else seconds

    def alone(self, leaves: int, locked: int) -> float:
        """Return the seconds of reversing a piece whose start is in the file."""
        slots = max(0, self.case.num_slots - locked)
        return self.pieces.seconds_and_split(leaves, slots, True)[0]

    def whole(self, keeps: KeepPlan) -> float:
        """Return the seconds of a run that keeps these states."""
        case = self.case
        end = case.num_leaves
        tail = [*keeps.tail, (end, False)]
        locked = 0 if keeps.first_in_file else 1
        middle, comb = tail[0][0], keeps.comb
        first = comb.leaf(0) if comb.count else middle
        seconds = self.piece(first, 0, keeps.first_in_file)
        if comb.count:
            low, part = divmod(comb.pitch, GRID)
            each = self.piece(low, locked, True)
            if part:
                each += part / GRID * (self.piece(low + 1, locked, True) - each)
            last = comb.leaf(comb.count - 1)
            seconds += (comb.count - 1) * each + self.piece(middle - last, locked, True)
        for (leaf, in_file), (following, _) in pairwise(tail):
            seconds += self.piece(following - leaf, locked, in_file)
            locked += not in_file
        written = max(0, keeps.file_states - case.num_slots) * case.costs.write
        return seconds + max(end * self.pace.advance, written)


class _Search:
    """Variants, and the best of those rehearsed so far."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.reckoning = _Reckoning(case)
        self.variants = sorted(self._variants(), key=lambda found: found[0])
        self.best = self.variants[0][1] if self.variants else Variant(GRID, 0, 0)
        self.seconds = inf
        self.is_exact = False
        self._left = ALL_ACTIONS
        self._tried: set[Variant] = set()

    def rehearse(self, variant: Variant, *, keep_back: int = 0) -> None:
        """Find out what a variant takes; keep it if it is the best so far.

        Nothing is done once no more than `keep_back` actions are left, but for the first one.
        """
        if variant in self._tried:
            return
        self._tried.add(variant)
        keeps = self._keeps(variant)
        if self._left <= keep_back:
            if self.seconds == inf:
                self.best, self.seconds = variant, self.reckoning.whole(keeps)
            return
        seconds, exact = self._seconds(variant, keeps)
        if seconds < self.seconds:
            self.best, self.seconds, self.is_exact = variant, seconds, exact

    def _seconds(self, variant: Variant, keeps: KeepPlan) -> tuple[float, bool]:
        """Return what a variant takes, and whether that is exact."""
        whole = self.case.num_leaves
        tail = whole - keeps.tail[0][0] if keeps.tail else 0
        each = ceil(variant.pitch / GRID)
        leaves = whole if whole <= SHORT_LEAVES else tail + SEGMENTS * each
        window = self._window(variant, leaves) if leaves < whole else None
        if window is not None:
            segments = SEGMENTS * REHEARSED_ACTIONS // window.rehearsal.actions
            leaves = tail + segments * each
            if segments > SEGMENTS and leaves < whole:
                window = self._window(variant, leaves)
        if leaves >= whole:
            return self._rehearsed(variant, whole).seconds, True
        assert window is not None
        written = (keeps.file_states - self.case.num_slots) * self.case.costs.write
        return window.extended(whole, written), False

    def _window(self, variant: Variant, leaves: int) -> "_Window":
        """Rehearse the last leaves of the run."""
        comb = plan_keeps(
            leaves,
            self.case.num_slots,
            variant.pitch,
            tail_slots=variant.tail_slots,
            tail_repeats=variant.tail_repeats,
        ).comb
        high, low = comb.leaf(max(2, comb.count // 3)), comb.leaf(1)
        return _Window(leaves, high, low, self._rehearsed(variant, leaves, (high, low)))

    def _rehearsed(self, variant: Variant, leaves: int, marks: Collection[int] = ()) -> Rehearsal:
        case = self.case
        if leaves < case.num_leaves:
            case = replace(case, num_steps=leaves * case.leaf_steps)
        rehearsal = Rehearsal(variant.schedule(case, self.reckoning.table))
        rehearsal.run(marks)
        self._left -= rehearsal.actions
        return rehearsal

    def _keeps(self, variant: Variant) -> KeepPlan:
        return plan_keeps(
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
        seen: set[KeepPlan] = set()
        for pitch in sorted(self._pitches()):
            tried = [
                (self.reckoning.whole(keeps), tails, repeats, keeps)
                for tails in _tails(self.case.num_slots)
                for repeats in range(MOST_REPEATS + 1)
                if (keeps := self._keeps(Variant(pitch, tails, repeats))).file_states
                <= self.case.file_states
            ]
            few = [found for found in tried if found[1] <= max(1, self.case.num_slots // 3)]
            for group in (tried, few):
                if group:
                    seconds, tails, repeats, keeps = min(group, key=lambda found: found[0])
                    if keeps not in seen:
                        seen.add(keeps)
                        yield seconds, Variant(pitch, tails, repeats)

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
            leaves = {length for length in leaves if length >= HURRIED * natural}
        least = GRID if case.file_states >= case.num_leaves else reckoning.least_pitch
        most = case.num_leaves * GRID
        return {min(most, max(least, ceil(pitch * GRID))) for pitch in leaves}

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


@dataclass(frozen=True, slots=True)
class _Window:
    """The last leaves of a run, rehearsed; between two of them nothing changes any more."""

    leaves: int
    high: int
    low: int
    rehearsal: Rehearsal

    def extended(self, leaves: int, written: float) -> float:
        """Return what so many leaves take, whose forward sweep takes no less than is `written`."""
        rehearsal = self.rehearsal
        slope = (rehearsal.at[self.low] - rehearsal.at[self.high]) / (self.high - self.low)
        forward = max(rehearsal.turned_at * leaves / self.leaves, written)
        reverse = rehearsal.seconds - rehearsal.turned_at
        return forward + reverse + (leaves - self.leaves) * slope


def _tails(num_slots: int) -> list[int]:
    """Return numbers of states worth trying to keep in memory."""
    few = {0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, num_slots // 2, num_slots - 1}
    return sorted(count for count in few if 0 <= count < num_slots)
