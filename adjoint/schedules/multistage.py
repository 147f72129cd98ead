"""Multistage: Revolve with some of its snapshots in the file, those that are used the least.

Stumm and Walther (2009, doi:10.1137/080718036). Revolve keeps its snapshots in a stack, and how
often a place in it is written and read depends on its level. So with places for ``s = c + d``
snapshots, `c` of them in memory and `d` in the file, run Revolve for `s`, ``t(n, s)`` advances,
and put the `c` busiest levels in memory. Transfers are waited for.

A snapshot gets to the file through a slot, and is read from there without one. When one is kept at
a level of the file, the levels in memory below it are taken and no others; so a slot is free for it
if, and only if, there is a level in memory above it. Hence the topmost level is in memory, always,
and the others there are the ``c - 1`` busiest of the rest.

How busy a level is follows from the splits of Revolve, without playing it. Call a segment of
``beta(m, p)`` leaves with `m` slots *full*: it is split into a full one on the left, with
``(m, p - 1)``, and a full one on the right, ``(m - 1, p)``. Call a segment *lean* that has
``beta(m, p-1) + beta(m-1, p-1)`` leaves: it is split into lean ones in the same way. So at `l`
levels above its own, over all of it, there are

    full:  C(p + l - 1, l) writes,  C(p + l, l + 1)                    reads,
    lean:  C(p + l - 2, l) writes,  C(p + l - 1, l + 1) + C(p + l - 2, l) reads.

A split of any other segment gives a full or lean one and one of any kind: at the highest split that
Revolve may choose the left one is full ``(m, p - 1)``, at the lowest the left one is full
``(m, p - 2)``, and between these the right one is lean ``(m - 1, p)``. Along this chain of at most
``s + r`` segments, with `r` the repetitions of the run, the counts are added up.
"""

from collections.abc import Iterator
from math import comb
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Discard, Offload, Restore, Store, Tier, Wait
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.revolve import beta, repetitions, reversal

__all__ = ["Multistage", "level_traffic", "multistage_transfers"]


class Multistage:
    """Reverse a run with snapshots in memory and in the file, advancing as few steps as possible.

    ``leaf_steps * minimal_advances(N, num_slots + file_slots)`` steps are advanced, with ``N`` the
    number of leaves. Among the ways to give the levels of Revolve's stack to memory and file that
    stay within both, it is one with the fewest transfers, a read counted like a write.

    Making it takes ``O(s (s + r))`` binomials, with ``s`` snapshots and ``r`` repetitions.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state, those being written included. At
        least 1, unless the run is a single leaf.
    file_slots
        Snapshots that fit in the file. Of more places than the number of leaves less one in all,
        those in the file are left out first.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        No slot for more than one leaf, or a number that is out of its range.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(
        self, num_steps: int, num_slots: int, file_slots: int, *, leaf_steps: int = 1
    ) -> None:
        leaves = num_leaves(num_steps, leaf_steps)
        _check_places(leaves, num_slots, file_slots)
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        levels = min(index(num_slots) + index(file_slots), leaves - 1)
        self.num_slots = min(index(num_slots), levels)
        self.file_states = levels - self.num_slots
        self._in_file = _levels_in_file(leaves, levels, self.file_states)

    def __repr__(self) -> str:
        return (
            f"Multistage(num_steps={self.num_steps}, num_slots={self.num_slots}, "
            f"file_slots={self.file_states}, leaf_steps={self.leaf_steps})"
        )

    def __iter__(self) -> Iterator[Action]:
        in_file = self._in_file
        actions = reversal(0, self.num_steps, len(in_file), self.leaf_steps, turn=True)
        if not self.file_states:
            yield from actions
            return
        level = 0
        for action in actions:
            kind = type(action)
            if kind is Store:
                yield action
                if in_file[level]:
                    yield from _to_file(action)
                level += 1
            elif kind is Discard:
                level -= 1
                yield _from_file(action) if in_file[level] else action
            elif type(action) is Restore and in_file[level - 1]:
                yield Restore(action.step)  # straight from the file: it has no slot to give up
            else:
                yield action


def multistage_transfers(
    num_steps: int, num_slots: int, file_slots: int, *, leaf_steps: int = 1
) -> tuple[int, int]:
    """Return how many states a `Multistage` writes to the file and reads from it; not played.

    Raises
    ------
    ScheduleError
        As `Multistage` does.
    """
    leaves = num_leaves(num_steps, leaf_steps)
    _check_places(leaves, num_slots, file_slots)
    levels = min(index(num_slots) + index(file_slots), leaves - 1)
    in_file = _levels_in_file(leaves, levels, levels - min(index(num_slots), levels))
    writes, reads = level_traffic(leaves, levels)
    return (
        sum(count for count, there in zip(writes, in_file, strict=True) if there),
        sum(count for count, there in zip(reads, in_file, strict=True) if there),
    )


def level_traffic(num_leaves: int, num_levels: int) -> tuple[list[int], list[int]]:
    """Return how often `Revolve` stores, and restores, at each level of its stack, lowest first.

    There are fewer levels than leaves, and at least one for more than one leaf.
    """
    writes, reads = [0] * num_levels, [0] * num_levels
    if num_leaves == 1:
        return writes, reads
    writes[0] = 1
    level, length, slots = 0, num_leaves, num_levels
    repeats = repetitions(length, slots)
    while slots > 1 and repeats > 1:
        wide, narrow = beta(slots, repeats - 1), beta(slots, repeats - 2)
        right = beta(slots - 1, repeats - 1) + beta(slots - 2, repeats - 1)
        reads[level] += 1
        if narrow < length - right < wide:
            _add_lean(writes, reads, level + 1, slots - 1, repeats)
            length -= right
        else:
            high = length - right >= wide
            _add_full(writes, reads, level, slots, repeats - (1 if high else 2))
            length -= wide if high else narrow
            level, slots = level + 1, slots - 1
            writes[level] += 1
        while length <= beta(slots, repeats - 1):
            repeats -= 1
    if slots == 1:
        reads[level] += length - 1
    else:  # all leaves are kept, one level each
        for above in range(level, level + length - 1):
            writes[above] += 1 if above > level else 0
            reads[above] += 1
    return writes, reads


def _add_full(writes: list[int], reads: list[int], level: int, slots: int, repeats: int) -> None:
    """Count what is left to do in a full segment whose start is kept already."""
    reads[level] += repeats
    for above in range(1, slots if repeats else 0):
        writes[level + above] += comb(repeats + above - 1, above)
        reads[level + above] += comb(repeats + above, above + 1)


def _add_lean(writes: list[int], reads: list[int], level: int, slots: int, repeats: int) -> None:
    """Count a lean segment, at least two `repeats`, whose start is still to be kept."""
    for above in range(slots):
        stores = comb(repeats + above - 2, above)
        writes[level + above] += stores
        reads[level + above] += comb(repeats + above - 1, above + 1) + stores


def _levels_in_file(leaves: int, levels: int, file_states: int) -> list[bool]:
    """Return, for each level, whether it is in the file: the least busy but the topmost."""
    if not file_states:
        return [False] * levels
    traffic = [sum(both) for both in zip(*level_traffic(leaves, levels), strict=True)]
    idle_first = sorted(range(levels - 1), key=traffic.__getitem__)
    chosen = set(idle_first[:file_states])
    return [level in chosen for level in range(levels)]


def _to_file(stored: Action) -> Iterator[Action]:
    assert isinstance(stored, Store)
    step = stored.step
    yield Offload(step)
    yield Wait(step)
    yield Discard(step, Tier.MEMORY)


def _from_file(discard: Action) -> Discard:
    assert isinstance(discard, Discard)
    return Discard(discard.step, Tier.FILE)


def _check_places(leaves: int, num_slots: int, file_slots: int) -> None:
    if index(file_slots) < 0:
        raise ScheduleError(f"file_slots is {file_slots}: 0 keeps all snapshots in memory")
    if index(num_slots) < 0 or (num_slots == 0 and leaves > 1):
        raise ScheduleError(
            f"num_slots is {num_slots}: reversing {leaves} leaves takes at least "
            f"{min(leaves - 1, 1)}, for snapshots pass through a slot on their way to the file"
        )
