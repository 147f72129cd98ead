"""What keeps one rank from creating or using the file is an error on every rank, not a hang."""

import os
from dataclasses import replace

import numpy as np
import pytest

from adjoint.errors import SnapshotFileError, StepperError, TransferError
from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.mpi import MpiEngine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file, rows_at
from adjoint.storage.state_layout import StateLayout

RANKS = (2, 3)
LAYOUT = StateLayout.of({"u": np.zeros(10)})


@pytest.fixture
def ranks(comm):
    ranks = communicator(comm)
    yield ranks
    ranks.free()


def test_no_folder(ranks, tmp_path):
    with pytest.raises(SnapshotFileError, match="there is no folder"):
        create_file(tmp_path / "missing" / "run.h5", ranks, FileSpec(LAYOUT, ""), 3)


def test_foreign_file(ranks, tmp_path):
    path = tmp_path / "run.h5"
    if ranks.rank == 0:
        path.write_text("mine\n")
    with pytest.raises(SnapshotFileError, match="not an HDF5 file"):
        create_file(path, ranks, FileSpec(LAYOUT, ""), 3)
    with pytest.raises(SnapshotFileError, match="not an HDF5 file"):
        rows_at(path, ranks, FileSpec(LAYOUT, ""))
    ranks.mpi.Barrier()
    assert path.read_text() == "mine\n"


def test_file_of_the_same_sizes_on_other_ranks(ranks, tmp_path):
    first, last = (0, ranks.size - 1)
    layouts = {first: LAYOUT, last: StateLayout.of({"u": np.zeros(10, np.float32)})}
    own = layouts.get(ranks.rank, LAYOUT)
    swapped = layouts[last if ranks.rank == first else first]
    create_file(tmp_path / "run.h5", ranks, FileSpec(own, ""), 3).close()
    create_file(tmp_path / "run.h5", ranks, FileSpec(own, ""), 3).close()
    with pytest.raises(SnapshotFileError, match="for other arrays: state 'u' of rank"):
        create_file(tmp_path / "run.h5", ranks, FileSpec(swapped, ""), 3)


def test_no_state_on_any_rank(ranks, tmp_path):
    with pytest.raises(StepperError, match="no rank"):
        create_file(tmp_path / "run.h5", ranks, FileSpec(StateLayout.of({}), ""), 3)


def test_file_that_one_rank_cannot_open(ranks, tmp_path):
    with create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3) as file:
        placement = file.placement
        if ranks.rank == 1:
            placement = replace(placement, path=str(tmp_path / "elsewhere.h5"))
        with pytest.raises(SnapshotFileError, match="cannot open"):
            MpiEngine(ranks, placement)


def test_temporary_file_has_one_name_and_is_removed(ranks, tmp_path):
    with create_file(tmp_path, ranks, FileSpec(LAYOUT, ""), 3) as file:
        assert set(ranks.gather(file.path)) == {file.path}
        assert os.path.exists(file.path)
        ranks.mpi.Barrier()
    ranks.mpi.Barrier()
    assert not os.path.exists(file.path)


def test_failed_transfer_is_raised_on_its_rank_alone(ranks, tmp_path):
    with create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3) as file:
        engine = MpiEngine(ranks, file.placement)
        block = Block(LAYOUT)
        engine.write(0, block, step=0).wait()
        if ranks.rank == 0:
            engine.read(0, block, step=5)
            with pytest.raises(TransferError, match=r"on rank 0: .*the row holds state 0"):
                engine.close()
        else:
            engine.close()
