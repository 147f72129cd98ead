"""H-Revolve: slots in memory and a file with places for some states; every transfer is waited for.

Herrmann and Pallez (2020, doi:10.1145/3378672). A state in memory is kept for a shorter time
than any state left of it in the file. So whenever a state goes to the file, no slot is taken: it
passes through one, and then all slots are free for the leaves right of it.
`h_revolve_table` says which states go to the file, and `h_revolve_search` extends that to any
number of leaves.

Costs are in units of advancing over one leaf. Recording and pulling back a leaf is paid once for
each leaf by every schedule, so the plan depends on `write` and `read` alone, and forward and
reverse costs cannot be confused. In the literature a step is also advanced once when it is
reversed: costs there are higher by one for each leaf.
"""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import (
    Action,
    Advance,
    Discard,
    Offload,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Wait,
)
from adjoint.schedules.h_revolve_plan import Part, Plan, Tally
from adjoint.schedules.h_revolve_search import Places, best_plan
from adjoint.schedules.protocol import num_leaves, set_fields
from adjoint.schedules.revolve import require_slots, reversal

__all__ = ["HRevolve"]


@dataclass(frozen=True)
class HRevolve:
    """Reverse a run with slots and a limited file that it waits for, at the least cost.

    The cost is ``advances / leaf_steps + writes * write + reads * read``. Up to 2,000 leaves it is
    the least possible, unless hundreds of places in the file are too few; of schedules with equal
    cost, one with the fewest transfers is taken. Longer runs are periodic. The cost is never more
    than that of `Revolve`, which it is if the file does not pay.

    Making one takes some 20 ms and 100 kB. If the file is short of places it takes up to about a
    second and a few megabytes.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state. At least 1, unless the run is a single
        leaf. More slots than can be used are left out.
    max_file_states
        Snapshots that fit in the file. None is no limit, as for `DiskRevolve`.
    write, read
        Cost of writing a state to the file, and of reading it, in units of advancing one leaf.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        There is no slot for more than one leaf, or a number is out of range.
    """

    num_steps: int
    num_slots: int
    max_file_states: int | None
    _: KW_ONLY
    write: float
    read: float
    leaf_steps: int = 1
    tally: Tally = field(init=False, repr=False, compare=False)
    """Advances, transfers and snapshots at once; counted exactly, without playing."""
    _plan: Plan = field(init=False, repr=False, compare=False)

    num_tapes = 1
    tape_slots = 0

    def __post_init__(self) -> None:
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        require_slots(leaves, self.num_slots)
        limit = None if self.max_file_states is None else index(self.max_file_states)
        if limit is not None and limit < 0:
            raise ScheduleError(f"max_file_states is {limit}: it must be 0 or more, or None")
        for name, cost in (("write", self.write), ("read", self.read)):
            if not 0 <= cost < math.inf:
                raise ScheduleError(
                    f"{name} is {cost}: it must be finite and at least 0, in units of advancing "
                    "one leaf"
                )
        write, read = float(self.write), float(self.read)
        plan = best_plan(leaves, Places(index(self.num_slots), limit, write, read))
        tally = plan.tally(index(self.leaf_steps))
        set_fields(
            self,
            "num_steps",
            "leaf_steps",
            num_slots=tally.num_slots,
            max_file_states=limit,
            write=write,
            read=read,
            tally=tally,
            _plan=plan,
        )

    @property
    def file_states(self) -> int:
        return self.tally.file_states

    def __iter__(self) -> Iterator[Action]:
        plan = self._plan
        length = plan.period * plan.unit * self.leaf_steps
        starts = range(0, plan.repeats * length, max(1, length))
        for start in starts:
            yield from _write(start)
            yield Advance(start, start + length)
        yield from self._reverse(plan.last_part, plan.repeats * length)
        for start in reversed(starts):
            yield from self._reverse(plan.repeated_part, start)

    def _reverse(self, part: Part, start: int) -> Iterator[Action]:
        """Reverse a part of the run that starts at a step."""
        plan = self._plan
        pending = [(part, start)]
        while pending:
            here, step = pending.pop()
            split = plan.split(here)
            if here.kept:
                yield Restore(step)
                if not split:
                    yield Discard(step, Tier.FILE)
            elif split:
                yield from _write(step)
            if split:
                left, right = plan.parts(here, split)
                middle = step + split * plan.unit * self.leaf_steps
                yield Advance(step, middle)
                pending += [(left, step), (right, middle)]
            else:
                yield from self._reverse_in_memory(here, step)

    def _reverse_in_memory(self, part: Part, start: int) -> Iterator[Action]:
        """Reverse a part from its live first state, which is kept nowhere."""
        stop = start + self._plan.leaves(part) * self.leaf_steps
        slots = self._plan.memory_slots(part)
        if part.last:
            yield from reversal(start, self.num_steps, slots, self.leaf_steps, turn=True)
        elif slots == 0:
            yield Record(start, stop, reach_stop=False)
            yield PullBack(start, stop)
        else:
            yield Store(start)
            segment = reversal(start, stop, slots, self.leaf_steps, turn=False)
            next(segment)  # its Restore: the state is live already
            yield from segment


def _write(step: int) -> Iterator[Action]:
    """Put the live state in the file, through a slot."""
    yield Store(step)
    yield Offload(step)
    yield Wait(step)
    yield Discard(step, Tier.MEMORY)
