"""Keep the state at the start of every leaf: only the steps inside leaves are taken twice."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

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
from adjoint.schedules.protocol import num_leaves, set_fields

__all__ = ["StoreAll"]


@dataclass(frozen=True)
class StoreAll:
    """Keep in memory the state before every leaf except the last, which is recorded at once.

    It needs a slot for every leaf but one. So it is for runs that fit in memory, and it is the
    reference for the results of other schedules.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    leaf_steps
        Steps that are recorded and pulled back together. The last leaf may be shorter.

    Raises
    ------
    ScheduleError
        A number is less than 1.
    """

    num_steps: int
    _: KW_ONLY
    leaf_steps: int = 1

    num_tapes = 1
    tape_slots = 0
    file_states = 0

    def __post_init__(self) -> None:
        num_leaves(self.num_steps, self.leaf_steps)
        set_fields(self, "num_steps", "leaf_steps")

    @property
    def num_slots(self) -> int:
        return num_leaves(self.num_steps, self.leaf_steps) - 1

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
