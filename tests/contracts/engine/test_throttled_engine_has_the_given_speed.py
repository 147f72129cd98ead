"""`Throttle`, which benchmarks and other tests use, simulates a disk of the given speed."""

import numpy as np
from throttled_engine import Throttle

from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.registry import open_engine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(100)})


def busy(tmp_path, throttle, count):
    """Return the seconds of each of `count` writes, and of one read."""
    comm = communicator(None)
    with (
        create_file(tmp_path / "run.h5", comm, FileSpec(LAYOUT, ""), 1) as file,
        open_engine(file.placement, comm, throttle) as engine,
    ):
        block, taken = Block(LAYOUT), [0.0]
        for step in range(count):
            engine.write(0, block, step).wait()
            taken.append(engine.statistics.write_seconds)
        engine.read(0, block, count - 1).wait()
        return np.diff(taken), engine.statistics.read_seconds


def test_every_transfer_takes_the_given_time(tmp_path):
    writes, read = busy(tmp_path, Throttle(0.01, 0.02), 3)
    assert min(writes) >= 0.01
    assert read >= 0.02


def test_the_speed_may_drop(tmp_path):
    writes, _ = busy(tmp_path, Throttle(0.01, after_writes=2, factor=4), 4)
    assert min(writes[2:]) >= 0.04


def test_one_rank_alone_may_be_slow(tmp_path):
    _, read = busy(tmp_path, Throttle(0.0, 3.0, only_rank=1), 1)
    assert read < 3.0
