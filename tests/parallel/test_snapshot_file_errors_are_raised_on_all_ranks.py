"""What keeps one rank from creating or using the file is an error on every rank, not a hang."""

import errno
import os

import numpy as np
import pytest

from adjoint.errors import SnapshotFileError, StepperError, TransferError
from adjoint.parallel import communicator
from adjoint.storage import opening
from adjoint.storage.blocks import Block
from adjoint.storage.engines import direct_io, mpi, registry
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file, open_store, rows_at
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
    with pytest.raises(SnapshotFileError, match=r"for other arrays \(state 'u' of rank"):
        create_file(tmp_path / "run.h5", ranks, FileSpec(swapped, ""), 3)


def test_no_state_on_any_rank(ranks, tmp_path):
    with pytest.raises(StepperError, match="no rank"):
        create_file(tmp_path / "run.h5", ranks, FileSpec(StateLayout.of({}), ""), 3)


@pytest.mark.parametrize("engine", ["thread", "direct", "mpi"])
@pytest.mark.parametrize("where", ["file", "rows", "engine", "factory"])
@pytest.mark.parametrize("place", ["run.h5", ""])
def test_file_that_one_rank_cannot_open(ranks, tmp_path, monkeypatch, engine, where, place):
    opens = {
        "file": (opening, "open_regular"),
        "rows": (os, "dup"),
        "engine": (direct_io if engine == "direct" else mpi, OPENED[engine]),
        "factory": (registry.importlib, "import_module"),
    }
    if (engine, where) in {("thread", "engine"), ("thread", "factory"), ("direct", "factory")}:
        return  # no such step
    with monkeypatch.context() as failing:
        if ranks.rank == 1:
            failing.setattr(*opens[where], no_descriptor_left)
        with pytest.raises(SnapshotFileError, match="Too many open files"):
            open_store(tmp_path / place, ranks, FileSpec(LAYOUT, ""), 3, engine=engine)
    ranks.mpi.Barrier()
    assert not [name for name in os.listdir(tmp_path) if name.endswith((".new", ".lock", ".h5"))]
    open_store(tmp_path / place, ranks, FileSpec(LAYOUT, ""), 3, engine=engine).close()


OPENED = {"thread": "", "direct": "_open_direct", "mpi": "_try_to_open"}


def no_descriptor_left(*given, **named):
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("call", ["fsync", "rename", "ftruncate", "pwrite"])
def test_file_that_rank_0_cannot_make(ranks, tmp_path, monkeypatch, call):
    with monkeypatch.context() as failing:
        if ranks.rank == 0:
            failing.setattr(os, call, disk_fails)
        with pytest.raises(SnapshotFileError, match="the disk fails"):
            create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3)
    ranks.mpi.Barrier()
    assert not [name for name in os.listdir(tmp_path) if name.endswith((".new", ".h5"))]
    create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3).close()


def disk_fails(*given):
    raise OSError(errno.EIO, "the disk fails")


def test_file_of_a_live_run(ranks, tmp_path):
    with create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3):
        with pytest.raises(SnapshotFileError, match="is in use by"):
            create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3)
        ranks.mpi.Barrier()
    ranks.mpi.Barrier()
    create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3).close()


@pytest.mark.parametrize("engine", ["thread", "direct", "mpi"])
def test_temporary_file_has_no_name_and_is_shared(ranks, tmp_path, engine):
    with open_store(tmp_path, ranks, FileSpec(LAYOUT, ""), 3, engine=engine) as store:
        assert set(ranks.gather(store.file.path)) == {store.file.path}
        status = os.fstat(store.file.placement.descriptor)
        assert len(set(ranks.gather((status.st_dev, status.st_ino)))) == 1
        assert not os.path.exists(store.file.path)
        written, read = Block(LAYOUT), Block(LAYOUT)
        written.arrays["u"][...] = ranks.rank + np.arange(10)
        store.offload(5, written)
        store.prefetch(5, read)
        store.wait(5)
        assert read.bytes.tobytes() == written.bytes.tobytes()


def test_failed_transfer_is_raised_on_its_rank_alone(ranks, tmp_path):
    with create_file(tmp_path / "run.h5", ranks, FileSpec(LAYOUT, ""), 3) as file:
        engine = mpi.MpiEngine(ranks, file.placement)
        block = Block(LAYOUT)
        engine.write(0, block, step=0).wait()
        if ranks.rank == 0:
            engine.read(0, block, step=5)
            with pytest.raises(TransferError, match=r"on rank 0: .*the row holds state 0"):
                engine.close()
        else:
            engine.close()
