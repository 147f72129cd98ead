"""Multistage: Revolve with its least used snapshots in the file.

Stumm and Walther (2009, doi:10.1137/080718036). Revolve keeps its snapshots in a stack; how often
a place in it is written and read depends on its level. With places for ``s = c + d`` snapshots, `c`
in memory and `d` in the file, play Revolve for `s` slots, with ``t(n, s)`` advances, and put the
`c` busiest levels in memory. Transfers are waited for.

A snapshot goes to the file through a slot, and is read from there without one. When a level in the
file is written, the levels in memory below it are occupied and no others. So a slot is free if and
only if some level above it is in memory. Hence the topmost level is always in memory, along with
the ``c - 1`` busiest of the others.

The traffic of a level follows from the splits of Revolve, without playing it. Call a segment of
``beta(m, p)`` leaves with `m` slots *full*: it is split into a full one on the left, with
``(m, p - 1)``, and a full one on the right, ``(m - 1, p)``. Call a segment of
``beta(m, p-1) + beta(m-1, p-1)`` leaves *lean*: it is split into lean ones in the same way. So
reversing such a segment causes, `l` levels above its own,

    full:  C(p + l - 1, l) writes,  C(p + l, l + 1)                    reads,
    lean:  C(p + l - 2, l) writes,  C(p + l - 1, l + 1) + C(p + l - 2, l) reads.

A split of any other segment gives a full or lean one and one of any kind: at the highest split that
Revolve may choose, the left one is full ``(m, p - 1)``; at the lowest, the left one is full
``(m, p - 2)``; between these, the right one is lean ``(m - 1, p)``. The counts are added up along
this chain of at most ``s + r`` segments, with `r` the repetitions of the run.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from math import comb
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Discard, Offload, Restore, Store, Tier, Wait
from adjoint.schedules.protocol import num_leaves, set_fields
from adjoint.schedules.revolve import beta, repetitions, require_slots, reversal

__all__ = ["Multistage", "level_traffic"]


@dataclass(frozen=True)
class Multistage:
    """Reverse a run with snapshots in memory and in the file, advancing as few steps as possible.

    ``leaf_steps * minimal_advances(N, num_slots + file_slots)`` steps are advanced, with ``N`` the
    number of leaves. The levels of Revolve's stack are divided between memory and file such that
    transfers are fewest, reads and writes counted alike.

    Beginning to iterate takes ``O(s (s + r))`` binomials, with `s` snapshots and `r` repetitions.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state, including those being written. At
        least 1, unless the run is a single leaf.
    file_slots
        Snapshots that fit in the file. At most one snapshot less than the number of leaves is
        kept, in memory as far as possible.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        There is no slot for more than one leaf, or a number is out of range.
    """

    num_steps: int
    num_slots: int
    file_slots: int
    _: KW_ONLY
    leaf_steps: int = 1

    num_tapes = 1
    tape_slots = 0

    def __post_init__(self) -> None:
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        require_slots(leaves, self.num_slots)
        if index(self.file_slots) < 0:
            raise ScheduleError(f"file_slots is {self.file_slots}: 0 keeps all snapshots in memory")
        slots = min(index(self.num_slots), leaves - 1)
        set_fields(
            self,
            "num_steps",
            "leaf_steps",
            num_slots=slots,
            file_slots=min(index(self.file_slots), leaves - 1 - slots),
        )

    @property
    def file_states(self) -> int:
        return self.file_slots

    def __iter__(self) -> Iterator[Action]:
        in_file = _levels_in_file(self)
        actions = reversal(0, self.num_steps, len(in_file), self.leaf_steps, turn=True)
        if not self.file_slots:
            yield from actions
            return
        level = 0
        for action in actions:
            if type(action) is Store:
                yield action
                if in_file[level]:
                    yield Offload(action.step)
                    yield Wait(action.step)
                    yield Discard(action.step, Tier.MEMORY)
                level += 1
            elif type(action) is Discard:
                level -= 1
                yield Discard(action.step, Tier.FILE) if in_file[level] else action
            elif type(action) is Restore and in_file[level - 1]:
                yield Restore(action.step)  # straight from the file, not from a slot
            else:
                yield action


def level_traffic(num_leaves: int, num_levels: int) -> tuple[list[int], list[int]]:
    """Return how often `Revolve` stores and restores at each level of its stack, lowest first.

    There are fewer levels than leaves, and at least one level if there is more than one leaf.
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
    """Count the traffic of a full segment whose start is kept already."""
    reads[level] += repeats
    for above in range(1, slots if repeats else 0):
        writes[level + above] += comb(repeats + above - 1, above)
        reads[level + above] += comb(repeats + above, above + 1)


def _add_lean(writes: list[int], reads: list[int], level: int, slots: int, repeats: int) -> None:
    """Count the traffic of a lean segment, including that its start is stored; two `repeats`."""
    for above in range(slots):
        stores = comb(repeats + above - 2, above)
        writes[level + above] += stores
        reads[level + above] += comb(repeats + above - 1, above + 1) + stores


def _levels_in_file(schedule: Multistage) -> list[bool]:
    """Return for each level whether it is in the file: the least busy ones except the topmost."""
    levels = schedule.num_slots + schedule.file_slots
    if not schedule.file_slots:
        return [False] * levels
    leaves = num_leaves(schedule.num_steps, schedule.leaf_steps)
    traffic = [sum(both) for both in zip(*level_traffic(leaves, levels), strict=True)]
    idle_first = sorted(range(levels - 1), key=traffic.__getitem__)
    chosen = set(idle_first[: schedule.file_slots])
    return [level in chosen for level in range(levels)]
