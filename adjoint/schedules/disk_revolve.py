"""Disk-Revolve: slots in memory and a file without limit; every transfer is waited for.

Aupy, Herrmann, Hovland and Robert (2016, doi:10.1137/15M1019222). States are written to the file in
the forward sweep only. Between two of them, `l` leaves are reversed at the cost

    P(l) = min( t(l, s),  min_j  j + t(l-j, s) + r + P(j) )

either by Revolve with the start in a slot, or with all slots for the leaves right of some leaf, and
the start read again. The states that the forward sweep writes follow from

    H(n) = min( t(n, s),  w + min_j  j + H(n-j) + r + P(j) )

Far from the end, states in the file are equally far apart: at the distance `p` for which a period
costs least per leaf, ``(p + w + r + P(p)) / p`` (Aupy and Herrmann 2017,
doi:10.1080/10556788.2017.1359267). Runs of more than 2,000 leaves are made so.

This is H-Revolve for a file that is large enough.
"""

from dataclasses import dataclass, field

from adjoint.schedules.h_revolve import HRevolve

__all__ = ["DiskRevolve"]


@dataclass(frozen=True)
class DiskRevolve(HRevolve):
    """Reverse a run with slots in memory and a file that it waits for, at the least cost.

    Parameters and costs are those of `HRevolve`; `max_file_states` is None by default.
    """

    max_file_states: int | None = field(default=None, kw_only=True)
