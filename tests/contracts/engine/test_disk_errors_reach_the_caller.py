"""EIO, ENOSPC, a flipped bit, a slow disk affect the transfer they hit, and no other.

For the transfer thread: MPI's nonblocking calls do not survive an error of the disk. The faults are
simulated by `Faults`, which other tests use as well.
"""

import errno
from collections.abc import Iterator

import numpy as np
import pytest
from faulty_engine import Faults

from adjoint.errors import TransferError
from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.registry import open_engine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(1200)})
ROWS = 6


@pytest.fixture(params=[False, True], ids=["buffered", "direct"])
def on_disk(request, tmp_path) -> Iterator:
    """Return an engine on a disk with the given faults."""
    comm = communicator(None)
    with create_file(tmp_path / "run.h5", comm, FileSpec(LAYOUT, ""), ROWS) as file:
        engines = []

        def make(**faults):
            faulty = Faults(spares_probe=False, direct=request.param, **faults)
            engines.append(open_engine(file.placement, comm, faulty))
            return engines[-1]

        yield make
        for engine in engines:
            engine.close()


def block(step):
    made = Block(LAYOUT)
    made.arrays["u"][:] = np.random.default_rng(step).standard_normal(1200)
    return made


def numbers(transfers):
    """Return the errors of those that failed, by their number."""
    for transfer in transfers:
        transfer.settle()
        transfer.reported = True
    assert all(isinstance(t.error, TransferError) for t in transfers if t.error is not None)
    return {n: t.error.errno for n, t in enumerate(transfers, 1) if t.error is not None}


def write_all(engine):
    return numbers([engine.write(row, block(row), step=row) for row in range(ROWS)])


def read_all(engine):
    blocks = [Block(LAYOUT) for _ in range(ROWS)]
    failed = numbers([engine.read(row, blocks[row], step=row) for row in range(ROWS)])
    for row, found in enumerate(blocks):
        if row + 1 not in failed:
            assert np.array_equal(found.bytes, block(row).bytes)
    return failed


def test_failed_writes(on_disk):
    engine = on_disk(failed_writes=(2, 5))
    assert write_all(engine) == {2: errno.EIO, 5: errno.EIO}
    assert read_all(engine) == {2: errno.ENODATA, 5: errno.ENODATA}


def test_failed_reads(on_disk):
    engine = on_disk(failed_reads=(3,))
    assert write_all(engine) == {}
    assert read_all(engine) == {3: errno.EIO}
    assert read_all(engine) == {}


def test_full_disk(on_disk):
    engine = on_disk(full_after_bytes=4 * LAYOUT.moved_bytes)
    assert write_all(engine) == {5: errno.ENOSPC, 6: errno.ENOSPC}
    assert write_all(engine) == {5: errno.ENOSPC, 6: errno.ENOSPC}
    assert read_all(engine) == {5: errno.ENODATA, 6: errno.ENODATA}


def test_flipped_bits(on_disk):
    engine = on_disk(flipped_writes=(1, 4))
    assert write_all(engine) == {}
    assert read_all(engine) == {1: errno.EIO, 4: errno.EIO}


def test_slow_transfers(on_disk):
    engine = on_disk(slow_writes=(2,), slow_reads=(2,), slow_seconds=0.05)
    assert write_all(engine) == {}
    assert engine.statistics.write_seconds >= 0.05
    assert read_all(engine) == {}
    assert engine.statistics.read_seconds >= 0.05


def test_other_ranks_have_no_faults(on_disk):
    engine = on_disk(failed_writes=(1,), flipped_writes=(2,), ranks=(1, 2))
    assert write_all(engine) == {}
    assert read_all(engine) == {}


def test_random_faults_are_reproducible():
    of = {"ranks": 3, "transfers": 10, "state_bytes": 4096}
    drawn = [Faults.random(seed, **of) for seed in range(50)]
    assert drawn == [Faults.random(seed, **of) for seed in range(50)]
    assert len(set(drawn)) > 40
    assert {rank for faults in drawn for rank in faults.ranks} == {0, 1, 2}
