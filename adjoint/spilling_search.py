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
from math import ceil, gcd, inf

from adjoint.pricing import Case, Offer
from adjoint.schedules import Spilling
from adjoint.schedules.mixed_closed_form import fewest_steps
from adjoint.schedules.revolve import beta, minimal_advances
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

ALL_ACTIONS = 45_000
"""Of all rehearsals of one search, or a little more: less than two tenths of a second."""

DOUBT = 0.002
"""By how much an extrapolation may be off."""

BLIND = 0.2
"""The same where the end of the run does not tell, or nothing was rehearsed."""

LONGEST_WINDOW = 10_000
"""Leaves from the end of a run that are rehearsed at the most."""

SEGMENTS = 5
"""Segments, besides the tail, that a rehearsal of a long run must have to be believed."""

SHORT_LEAVES = 3_000
"""Runs of so few leaves are rehearsed as a whole. For them, more may be sent to the file than it
can take: slots hold the rest. The end of a longer run would tell nothing of that."""

FINENESS = ((8, GRID // 32), (32, GRID // 8), (128, GRID // 2), (inf, GRID))
"""Up to which number of leaves a spacing is a multiple of what, in units of ``1 / GRID``."""

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
            foresight=self.foresight,
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
        search.rehearse(variant, keep_back=ALL_ACTIONS // 2)
    if case.tape_slots:
        for foresight in FORESIGHTS:
            search.rehearse(replace(search.best, foresight=foresight))
        search.rehearse(replace(search.best, patience=PATIENCES[-1], foresight=FORESIGHTS[0]))
    else:
        for split in SPLITS[1:]:
            search.rehearse(replace(search.best, split=split))
    for patience in PATIENCES[1:]:
        search.rehearse(replace(search.best, patience=patience))
    schedule = search.best.schedule(case)
    reason = f"a state to the file every {schedule.interval:.4g} steps, none waited for"
    if case.tape_slots:
        reason += "; tapes are kept where they fit"
    return Offer(schedule, search.seconds, reason, search.doubt)


def reckoned(case: Case) -> float:
    """Return roughly what the best spilling stack takes: enough to compare sizes of leaves."""
    pace, natural = case.pace, _natural(case)
    leaves, slots = ceil(natural), case.num_slots + 1
    advances = minimal_advances(leaves, slots) if leaves > 1 else 0
    seconds = advances * pace.advance + leaves * (pace.record + pace.pull_back)
    if case.tape_slots:
        # a tape costs an advance where recording the leaf would cost less
        taken = fewest_steps(leaves, slots, case.tape_slots) - advances - leaves
        seconds += pace.unreached * pace.advance * taken
    forward = max(leaves * pace.advance, case.costs.write)
    return (forward + max(seconds, case.costs.read)) * case.num_leaves / leaves


def _natural(case: Case) -> float:
    """Return the leaves that take as long as a write, or as many as the file's room asks for."""
    if case.pace.advance == 0:
        return 1.0
    room = case.num_leaves / max(1, case.file_states - 2)
    return max(1.0, room, min(case.costs.write / case.pace.advance, case.num_leaves))


class _Reckoning:
    """Seconds of spilling stacks in closed form."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.pace = case.pace
        self.natural = _natural(case)
        """Leaves between two states in the file, if nothing is to wait."""
        self.table: TapeTable | None = None
        if case.tape_slots:
            most = min(case.num_leaves, 2 * ceil(self.natural) + 2, TABLE_LEAVES)
            self.table = TapeTable(
                most, case.num_slots, tape_slots=case.tape_slots, unreached=self.pace.unreached
            )
        self.pieces = Pieces(self.pace, SPLITS[0], self.table)

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
        self.doubt = BLIND
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
        seconds, doubt = self._seconds(variant, keeps)
        if (1 + doubt) * seconds < (1 + self.doubt) * self.seconds:
            self.best, self.seconds, self.doubt = variant, seconds, doubt

    def _seconds(self, variant: Variant, keeps: KeepPlan) -> tuple[float, float]:
        """Return what a variant takes, and how far that is to be doubted."""
        whole = self.case.num_leaves
        tail = whole - keeps.tail[0][0] if keeps.tail else 0
        each = ceil(keeps.comb.pitch / GRID)
        fewest, doubt = max(SEGMENTS, _period(keeps.comb.pitch) + 3), DOUBT
        if self.case.costs.read > self.reckoning.alone(each, 0):
            # reads are behind from the turn on, so it counts how many states were still in slots
            fewest += self.case.num_slots
            if fewest * each > LONGEST_WINDOW:
                fewest, doubt = SEGMENTS, BLIND
        leaves = whole if whole <= SHORT_LEAVES else tail + fewest * each
        window = self._window(variant, leaves) if leaves < whole else None
        if window is not None:
            segments = fewest * REHEARSED_ACTIONS // window.rehearsal.actions
            leaves = tail + segments * each
            if segments > fewest and leaves < whole:
                window = self._window(variant, leaves)
            leaves = min(leaves, whole - 1) if segments <= fewest else leaves
        if leaves >= whole:
            return self._rehearsed(variant, whole).seconds, 0.0
        assert window is not None
        moved = max(0, keeps.file_states - self.case.num_slots)
        costs = self.case.costs
        return window.extended(whole, moved * costs.write, moved * costs.read), doubt

    def _window(self, variant: Variant, leaves: int) -> "_Window":
        """Rehearse the last leaves of the run."""
        comb = plan_keeps(
            leaves,
            self.case.num_slots,
            variant.pitch,
            tail_slots=variant.tail_slots,
            tail_repeats=variant.tail_repeats,
        ).comb
        period = _period(comb.pitch)
        high, low = comb.leaf(1 + max(1, comb.count // (3 * period)) * period), comb.leaf(1)
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
                for repeats in self._repeats(pitch, tails)
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


@dataclass(frozen=True, slots=True)
class _Window:
    """The last leaves of a run, rehearsed; between two of them nothing changes any more."""

    leaves: int
    high: int
    low: int
    rehearsal: Rehearsal

    def extended(self, leaves: int, written: float, read: float) -> float:
        """Return what so many leaves take, if no less than their writes, and their reads, take."""
        rehearsal = self.rehearsal
        slope = (rehearsal.at[self.low] - rehearsal.at[self.high]) / (self.high - self.low)
        forward = max(rehearsal.turned_at * leaves / self.leaves, written)
        reverse = rehearsal.seconds - rehearsal.turned_at + (leaves - self.leaves) * slope
        return forward + max(reverse, read)


def _period(pitch: int) -> int:
    """Return after how many states in the file the distances between them repeat."""
    return GRID // gcd(pitch, GRID)


def _coarsely(leaves: float) -> int:
    """Return a spacing, rounded up so that it repeats soon; wide ones need not be as fine."""
    unit = next(unit for most, unit in FINENESS if leaves < most)
    return unit * ceil(leaves * GRID / unit)


def _tails(num_slots: int) -> list[int]:
    """Return numbers of states worth trying to keep in memory."""
    few = {0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, num_slots // 2, num_slots - 1}
    return sorted(count for count in few if 0 <= count < num_slots)
