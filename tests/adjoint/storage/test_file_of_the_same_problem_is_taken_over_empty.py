"""A file that an earlier run of the same problem left is used again, and nothing in it is valid."""

import h5py
import numpy as np

from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(10)})
ONE_RANK = communicator(None)


def write_all_rows(path, rows, value):
    with (
        SnapshotFile.create(path, ONE_RANK, LAYOUT, rows, b"mine") as file,
        ThreadEngine(file.placement) as engine,
    ):
        block = Block(LAYOUT)
        block.arrays["u"][...] = value
        for row in range(rows):
            engine.write(row, block, step=row).wait()


def sequences(path):
    with h5py.File(path, "r") as file:
        return list(file["index"][:, 0]["sequence"])


def test_used_again(tmp_path):
    path = tmp_path / "run.h5"
    write_all_rows(path, rows=5, value=1.0)
    assert sequences(path) == [1, 2, 3, 4, 5]
    inode = path.stat().st_ino
    SnapshotFile.create(path, ONE_RANK, LAYOUT, 3, b"mine").close()
    assert sequences(path) == [0, 0, 0, 0, 0]
    write_all_rows(path, rows=2, value=2.0)
    assert sequences(path) == [1, 2, 0, 0, 0]
    assert path.stat().st_ino == inode
    with h5py.File(path, "r") as file:
        assert file["snapshots"][1, : LAYOUT.nbytes].tobytes() == np.full(10, 2.0).tobytes()


def test_with_too_few_rows_it_is_made_anew(tmp_path):
    path = tmp_path / "run.h5"
    write_all_rows(path, rows=2, value=1.0)
    SnapshotFile.create(path, ONE_RANK, LAYOUT, 5, b"mine").close()
    assert sequences(path) == [0, 0, 0, 0, 0]
    assert path.stat().st_mode & 0o777 == 0o600
