"""The best spilling stack for a run: how far apart its states in the file are, and what it keeps.

A small grid of spacings and tails is rehearsed. The spacings come from theory: those at which a
write, or a read, is just hidden, also where slots hold what a short run sends too early, and the
longest segments that Revolve reverses with some number of repetitions.
"""

from collections.abc import Iterator
from math import ceil, inf

from adjoint.planning.case import Candidate, Case
from adjoint.planning.spilling_rehearsals import WHOLE_LEAVES, rehearse
from adjoint.schedules import Spilling
from adjoint.schedules.mixed_closed_form import fewest_steps
from adjoint.schedules.revolve import beta, minimal_advances, repetitions
from adjoint.schedules.spilling.spacing import GRID, ForwardPlan

__all__ = ["best_spilling", "estimated_seconds"]

MAX_ACTIONS = 60_000
"""Actions of all rehearsals of one search, or a little more: some 0.1 seconds."""

FRONT_RUNNERS = 3
"""Spacings for which all tails are rehearsed: those that are best without one."""

FINENESS = ((8, GRID // 32), (32, GRID // 8), (128, GRID // 2), (inf, GRID))
"""(leaves, unit): spacings of fewer leaves are multiples of the unit, in ``1 / GRID`` leaves. Close
ones profit from a fraction; coarse units let the distances repeat soon, and so windows be short."""


def best_spilling(case: Case) -> Candidate | None:
    """Return the best spilling stack found, None if there is none, where a case has room for one.

    `case.tape_slots` says whether tapes are kept.
    """
    search = _Search(case)
    for pitch in dict.fromkeys(_pitches(case)):
        search.rehearse(pitch, 0, 0)
    for pitch in search.front_runners():
        for tail_slots, tail_repeats in _tails(case.num_slots):
            search.rehearse(pitch, tail_slots, tail_repeats)
    return search.candidate()


def estimated_seconds(case: Case) -> float:
    """Return roughly what the best spilling stack takes: enough to compare sizes of leaves."""
    leaf, natural = case.leaf, _natural_spacing(case)
    leaves, slots = ceil(natural), case.num_slots + 1
    advances = minimal_advances(leaves, slots) if leaves > 1 else 0
    seconds = advances * leaf.advance + leaves * (leaf.record + leaf.pull_back)
    if case.tape_slots:
        # a tape costs an advance where recording the leaf would cost less
        taken = fewest_steps(leaves, slots, case.tape_slots) - advances - leaves
        seconds += leaf.unreached * leaf.advance * taken
    forward = max(leaves * leaf.advance, case.costs.write)
    return (forward + max(seconds, case.costs.read)) * case.num_leaves / leaves


class _Search:
    """The best of the stacks rehearsed so far."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._best: Spilling | None = None
        self._seconds = inf
        self._actions_left = MAX_ACTIONS
        self._by_pitch: dict[int, float] = {}
        self._plans: set[ForwardPlan] = set()

    def rehearse(self, pitch: int, tail_slots: int, tail_repeats: int) -> None:
        """Find out what a stack takes; keep it if it is the best so far.

        Once no actions are left, nothing is rehearsed any more.
        """
        case, best = self._case, self._best
        stack = Spilling(
            case.num_steps,
            case.num_slots,
            pitch * case.leaf_steps / GRID,
            costs=case.costs,
            leaf_steps=case.leaf_steps,
            tail_slots=tail_slots,
            tail_repeats=tail_repeats,
            tape_slots=case.tape_slots,
        )
        plan = stack.forward_plan(case.num_leaves, stack.pitch)
        if plan in self._plans or plan.file_states > case.file_states or self._actions_left <= 0:
            return
        self._plans.add(plan)
        tapes = None if best is None else best.tapes
        estimate = rehearse(stack, tapes, max_actions=self._actions_left)
        self._actions_left -= estimate.actions
        self._by_pitch.setdefault(pitch, estimate.seconds)
        if estimate.seconds < self._seconds:
            self._best, self._seconds = stack, estimate.seconds

    def front_runners(self) -> list[int]:
        """Return the best of the spacings that were rehearsed, in units of ``1 / GRID`` leaves."""
        return sorted(self._by_pitch, key=self._by_pitch.__getitem__)[:FRONT_RUNNERS]

    def candidate(self) -> Candidate | None:
        """Return the best of what was rehearsed."""
        best = self._best
        if best is None:
            return None
        reason = f"a state to the file every {best.interval:.4g} steps, none waited for"
        if best.tape_slots:
            reason += "; tapes are kept where they fit"
        return Candidate(best, self._seconds, reason, is_adaptive=True)


def _pitches(case: Case) -> Iterator[int]:
    """Give the spacings worth trying, in units of ``1 / GRID`` leaves, the likeliest first."""
    leaves, natural = case.num_leaves, _natural_spacing(case)
    least = _room(case)
    if leaves > WHOLE_LEAVES:
        least = max(least, natural)
    for spacing in _spacings(case, natural):
        yield _rounded(min(leaves, max(least, spacing)))


def _spacings(case: Case, natural: float) -> Iterator[float]:
    slots, leaves = case.num_slots, case.num_leaves
    repeats = repetitions(ceil(natural), slots) if natural > 1 else 1
    yield from (natural, 1.05 * natural, 1.1 * natural, beta(slots, repeats))
    # a short run may send more to the file than the file can take: slots hold the rest
    hidden = leaves / (leaves / natural + slots)
    yield from (hidden, (hidden + natural) / 2)
    yield _slow_read(case)
    yield slots + 2  # a segment is advanced over once
    wide = {beta(s, r) for s in (slots, slots + 1) for r in range(1, repeats + 2)}
    yield from sorted(length for length in wide if 0.85 * natural <= length <= 1.6 * natural)[:2]


def _tails(num_slots: int) -> dict[tuple[int, int], None]:
    """Return the `tail_slots` and `tail_repeats` worth trying, besides no tail."""
    third, most = num_slots // 3, num_slots - 1
    return dict.fromkeys([(most, 0), (third, 1), (third, 2), (most, 1), (most, 2)])


def _natural_spacing(case: Case) -> float:
    """Return the leaves between states in the file at which nothing waits and the file has room."""
    if case.leaf.advance == 0:
        return 1.0
    hidden = min(case.costs.write / case.leaf.advance, case.num_leaves)
    return max(_room(case), hidden)


def _room(case: Case) -> float:
    """Return the least spacing, in leaves, at which the file has room for all states."""
    limited = case.file_states < case.num_leaves
    return max(1.0, case.num_leaves / max(1, case.file_states - 2)) if limited else 1.0


def _slow_read(case: Case) -> int:
    """Return the fewest leaves whose reversal takes as long as a read."""
    few, many = 0, 1
    while _reversal_seconds(case, many) < case.costs.read:
        few, many = many, 2 * many
        if many >= case.num_leaves:
            return case.num_leaves
    while many - few > 1:
        middle = (few + many) // 2
        if _reversal_seconds(case, middle) < case.costs.read:
            few = middle
        else:
            many = middle
    return many


def _reversal_seconds(case: Case, leaves: int) -> float:
    leaf = case.leaf
    advances = minimal_advances(leaves, case.num_slots) if leaves > 1 else 0
    return advances * leaf.advance + leaves * (leaf.record + leaf.pull_back)


def _rounded(leaves: float) -> int:
    """Return a spacing, rounded up to its `FINENESS`, in units of ``1 / GRID`` leaves."""
    unit = next(unit for most, unit in FINENESS if leaves < most)
    return unit * ceil(leaves * GRID / unit)
