"""A file with a few changed bytes is refused, or what is read from it is right."""

import numpy as np
import snapshot_files
from snapshot_files import note

from adjoint import SnapshotFileError, TransferError, open_snapshots

STATE = {"u": np.arange(600.0), "v": np.arange(5, dtype=np.int32)}
TIMES = 250


def spoilt(data, rng):
    """Return the bytes of a file with up to three of them changed, near nonzero ones."""
    some = bytearray(data)
    used = np.flatnonzero(np.frombuffer(data, np.uint8))
    for position in rng.choice(used, rng.integers(1, 4)):
        some[(position + rng.integers(-2, 3)) % len(some)] = rng.integers(256)
    return bytes(some)


def is_right(path):
    """Return whether every state that is returned is what was written, or the file is refused."""
    right = {array.tobytes() for array in STATE.values()}
    try:
        with open_snapshots(path) as snapshots:
            snapshots.journal(verify=True)
            return all(
                array.tobytes() in right for state in snapshots.values() for array in state.values()
            )
    except (SnapshotFileError, TransferError):
        return True


def test_changed_bytes(tmp_path, rng):
    path = tmp_path / "run.h5"
    journal = [[(1, note())], [(2, note("reverse", 40))]]
    snapshot_files.make(path, {0: [STATE], 5: [STATE]}, rows=3, journal=journal)
    sound = path.read_bytes()
    for _ in range(TIMES):
        path.write_bytes(spoilt(sound, rng))
        assert is_right(path)
