"""What an earlier run left in a snapshot file: read from its index, and agreed on by all ranks."""

import os
from dataclasses import dataclass

import numpy as np

from adjoint.parallel import Communicator
from adjoint.storage.claiming import open_regular
from adjoint.storage.placement import ENTRY_BYTES, Entry, Placement

__all__ = ["Recalled", "recalled"]

EMPTY_ROWS = 4096
"""More rows than may be empty before one that is used: those that failed, or were given up."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What an earlier run left."""

    states: dict[int, tuple[int, Entry]]
    """By step, the row and this rank's entry; of two rows of one step, that written last."""
    rows: int
    """How many rows were ever in use."""
    writes: int
    """The number of the last write of any rank."""


def recalled(placement: Placement, comm: Communicator, first: int) -> Recalled:
    """Return what the file has of the writes of number `first` and after. Collective.

    A row counts if all ranks have the same step and the same number for it.
    """
    own = _entries(placement)
    count = max(comm.gather(max(own, default=-1) + 1))
    found = {row: entry for row, entry in own.items() if entry.sequence >= first}
    # Largest and least at once: they are the same if all ranks agree.
    spoken = np.zeros((4, count))
    for row, entry in found.items():
        spoken[:, row] = entry.sequence, -entry.sequence, entry.step, -entry.step
    agreed = comm.begin_largest(spoken.reshape(-1)).result().reshape(4, count)
    valid = (agreed[0] == -agreed[1]) & (agreed[2] == -agreed[3]) & (agreed[0] > 0)
    everywhere = [row for row in np.flatnonzero(valid).tolist() if row in found]
    states: dict[int, tuple[int, Entry]] = {}
    for row in sorted(everywhere, key=lambda row: found[row].sequence):
        states[found[row].step] = row, found[row]
    last = max((entry.sequence for entry in own.values()), default=0)
    return Recalled(states, count, max(comm.gather(last)))


def _entries(placement: Placement) -> dict[int, Entry]:
    """Return this rank's entries, by row, as far as rows were used."""
    found: dict[int, Entry] = {}
    empty = 0
    descriptor = open_regular(placement.path)
    try:
        for row in range(placement.rows):
            entry = Entry.unpacked(os.pread(descriptor, ENTRY_BYTES, placement.index_offset(row)))
            empty = 0 if entry.sequence else empty + 1
            if entry.sequence:
                found[row] = entry
            if empty > EMPTY_ROWS:
                break  # rows are used from the first on, so this is where they end
    finally:
        os.close(descriptor)
    return found
