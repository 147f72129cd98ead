"""Keep the state at the start of every leaf: no step is taken twice but those inside leaves."""

from collections.abc import Iterator
from operator import index

from adjoint.schedules.actions import (
    Action,
    Advance,
    Discard,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
)
from adjoint.schedules.protocol import num_leaves

__all__ = ["StoreAll"]


class StoreAll:
    """Keep, in memory, the state before every leaf but the last, which is recorded at once.

    It needs a slot for every leaf but one, so it is for runs that fit in memory, and it is the
    reference that other schedules are compared with. The last leaf of a run may be shorter.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        A number that is less than 1.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(self, num_steps: int, *, leaf_steps: int = 1) -> None:
        self.num_slots = num_leaves(num_steps, leaf_steps) - 1
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        self.file_states = 0

    def __repr__(self) -> str:
        return f"StoreAll(num_steps={self.num_steps}, leaf_steps={self.leaf_steps})"

    def __iter__(self) -> Iterator[Action]:
        leaf = self.leaf_steps
        last = self.num_slots * leaf
        for start in range(0, last, leaf):
            yield Store(start)
            yield Advance(start, start + leaf)
        yield Record(last, self.num_steps)
        yield Turn()
        yield PullBack(last, self.num_steps)
        for start in range(last - leaf, -1, -leaf):
            yield Restore(start, keep=False)
            yield Discard(start, Tier.MEMORY)
            yield Record(start, start + leaf, reach_stop=False)
            yield PullBack(start, start + leaf)
