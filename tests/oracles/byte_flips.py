"""Single bits flipped in the file of a run that crashed, which is then resumed.

The gradient must be that worked out by hand (`driven_ring`), or the file refused.
"""

import h5py
import numpy as np
from driven_ring import CrashError, DrivenRing, by_hand

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous
from adjoint.sweep import journal

NUM_STEPS = 30
PAGE = 4096
START, M, SOURCE = np.linspace(0.2, 1, 6), np.linspace(0.5, 1.5, 6), 0.01

WRONG, REFUSED, AFRESH = "WRONG", "refused", "begun afresh"


def make_frequent():
    """Let a small run have as many exchanges and records as a long one."""
    status_exchange.EXCHANGE_SECONDS = 0.0
    journal.MIN_GAP = 0


def resumed(path, *, at=None):
    """Return the result of a run that is resumed from `path`, or crashes."""
    return adjoint.gradient(
        DrivenRing(START, M, SOURCE, at=at),
        NUM_STEPS,
        schedule=Asynchronous(NUM_STEPS, 3, 5),
        file=path,
        resume=True,
        max_lost_share=1e-6,
    )


def crash(path, at):
    """Leave the file of a run that crashed after `at` steps; return its bytes."""
    try:
        resumed(path, at=at)
    except CrashError:
        return path.read_bytes()
    raise AssertionError("the run did not crash")


def parts(path):
    """Return the positions of all bytes in use, by part of the file, but for the states."""
    with h5py.File(path, "r") as file:
        extents = {name: (file[name].id.get_offset(), file[name].nbytes) for name in file}
        used = np.flatnonzero(file["index"][:, 0]["sequence"])[-1] + 1
        entry = file["index"].dtype.itemsize
    index, layout, records = extents["index"][0], extents["layout"], extents["journal"]
    data = np.fromfile(path, np.uint8)
    rest = np.ones(len(data), bool)
    for start, size in extents.values():
        rest[start : start + size] = False
    record = records[1] // 2
    headers = [records[0] + k * record + np.arange(700) for k in range(2)]
    arrays = [records[0] + k * record + PAGE + np.arange(0, 64) for k in range(2)]
    return {
        "index": index + np.arange(used * entry),
        "journal headers": np.concatenate(headers),
        "journal arrays": np.concatenate(arrays),
        "layout": layout[0] + np.arange(layout[1]),
        "HDF5, attributes": np.flatnonzero(rest & (data != 0)),
    }


def outcome(path, sound, position, bit):
    """Return what becomes of the run if a bit is flipped in its file."""
    data = bytearray(sound)
    data[position] ^= 1 << bit
    path.write_bytes(data)
    try:
        result = resumed(path)
    except adjoint.SnapshotFileError:
        return REFUSED
    cost, gradient = by_hand(START, M, SOURCE, NUM_STEPS)
    same = np.allclose([result.cost, *result.gradient["m"]], [cost, *gradient], rtol=1e-11, atol=0)
    return (result.report.resumed_from.partition(",")[0] or AFRESH) if same else WRONG
