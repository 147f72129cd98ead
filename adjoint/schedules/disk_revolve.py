"""Disk-Revolve: slots in memory and a file, with the processor standing still for every transfer.

Aupy, Herrmann, Hovland and Robert (2016, doi:10.1137/15M1019222). With no limit on the file, states
are written to it in the first sweep only. Between two of them, `l` leaves are reversed at the cost

    P(l) = min( t(l, s),  min_j  j + t(l-j, s) + r + P(j) )

either by Revolve with the start in a slot, or with all slots for what is right of some leaf, and
the start read again. What the first sweep writes follows from

    H(n) = min( t(n, s),  w + min_j  j + H(n-j) + r + P(j) )

Far from the end, states in the file are equally far apart: at the distance `p` where a period costs
least a leaf, ``(p + w + r + P(p)) / p`` (Aupy and Herrmann 2017,
doi:10.1080/10556788.2017.1359267). Longer runs than 2,000 leaves are made so. With a limit on the
file it is H-Revolve with two tiers: see `hierarchical`.
"""

from collections.abc import Iterator

from adjoint.schedules.actions import Action
from adjoint.schedules.h_revolve import HRevolve
from adjoint.schedules.h_revolve_plan import Tally

__all__ = ["DiskRevolve", "disk_revolve_cost"]


class DiskRevolve:
    """Reverse a run with slots in memory and a file that it waits for, at the least cost.

    The cost is ``advances / leaf_steps + writes * write + reads * read``. It is never more than
    that of `Revolve`, which it is where the file does not pay.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state. At least 1, unless the run is a single
        leaf. Slots that would never be taken are left out.
    write, read
        What it takes to write a state to the file, and to read it, in units of advancing one leaf.
    leaf_steps
        Steps that are recorded and pulled back together.
    file_states
        Snapshots that fit in the file. None is no limit.

    Raises
    ------
    ScheduleError
        No slot for more than one leaf, or a number that is out of its range.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(
        self,
        num_steps: int,
        num_slots: int,
        *,
        write: float,
        read: float,
        leaf_steps: int = 1,
        file_states: int | None = None,
    ) -> None:
        tiers = ((num_slots, 0, 0), (file_states, write, read))
        self._schedule = HRevolve(num_steps, tiers, leaf_steps=leaf_steps)
        self.num_steps = self._schedule.num_steps
        self.leaf_steps = self._schedule.leaf_steps
        self.num_slots = self._schedule.num_slots
        self.file_states = self._schedule.file_states
        self.tally: Tally = self._schedule.tally
        """What playing it comes to; exact, not played."""

    def __repr__(self) -> str:
        (slots, _write, _read), (file_states, write, read) = self._schedule.tiers
        return (
            f"DiskRevolve(num_steps={self.num_steps}, num_slots={slots}, write={write}, "
            f"read={read}, leaf_steps={self.leaf_steps}, file_states={file_states})"
        )

    def __iter__(self) -> Iterator[Action]:
        return iter(self._schedule)


def disk_revolve_cost(
    num_steps: int,
    num_slots: int,
    *,
    write: float,
    read: float,
    leaf_steps: int = 1,
    file_states: int | None = None,
) -> Tally:
    """Return what a `DiskRevolve` comes to: advances, transfers, slots; exact, not played.

    Takes some 20 ms, and a few times as long for a billion leaves. Where the file is short of
    places it takes up to about a second.

    Raises
    ------
    ScheduleError
        As `DiskRevolve` does.
    """
    return DiskRevolve(
        num_steps,
        num_slots,
        write=write,
        read=read,
        leaf_steps=leaf_steps,
        file_states=file_states,
    ).tally
