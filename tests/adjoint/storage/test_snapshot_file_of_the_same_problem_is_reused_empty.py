"""A file left by an earlier run of the same problem is reused, and nothing in it is valid."""

import h5py
import numpy as np

from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(10)})
ONE_RANK = communicator(None)


def write_all_rows(path, rows, value):
    with (
        create_file(path, ONE_RANK, FileSpec(LAYOUT, "mine"), rows) as file,
        ThreadEngine(RankFile(file.placement)) as engine,
    ):
        block = Block(LAYOUT)
        block.arrays["u"][...] = value
        for row in range(rows):
            engine.write(row, block, step=row).wait()


def sequences(path):
    with h5py.File(path, "r") as file:
        return list(file["index"][:, 0]["sequence"])


def test_reused(tmp_path):
    path = tmp_path / "run.h5"
    write_all_rows(path, rows=5, value=1.0)
    assert sequences(path) == [1, 2, 3, 4, 5]
    inode = path.stat().st_ino
    create_file(path, ONE_RANK, FileSpec(LAYOUT, "mine"), 3).close()
    assert sequences(path) == [0, 0, 0, 0, 0]
    write_all_rows(path, rows=2, value=2.0)
    assert sequences(path) == [1, 2, 0, 0, 0]
    assert path.stat().st_ino == inode
    with h5py.File(path, "r") as file:
        assert file["snapshots"][1, : LAYOUT.nbytes].tobytes() == np.full(10, 2.0).tobytes()


def test_replaced_if_it_has_too_few_rows(tmp_path):
    path = tmp_path / "run.h5"
    write_all_rows(path, rows=2, value=1.0)
    create_file(path, ONE_RANK, FileSpec(LAYOUT, "mine"), 5).close()
    assert sequences(path) == [0, 0, 0, 0, 0]
    assert path.stat().st_mode & 0o777 == 0o600
