"""Each rank reads back its states bit for bit, and HDF5 finds all of them in their rows.

States have different sizes, and that of rank 1 is empty.
"""

import json
from itertools import pairwise

import h5py
import numpy as np
import pytest

from adjoint.parallel import communicator
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.mpi import MpiEngine
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

RANKS = (1, 2, 3)
NUM_STATES = 7


def state(rank, step):
    rng = np.random.default_rng([rank, step])
    if rank == 1:
        return {}
    return {"u": rng.standard_normal(900 * (rank + 1) ** 2), "k": rng.integers(0, 99, 3)}


@pytest.fixture
def ranks(comm):
    ranks = communicator(comm)
    yield ranks
    ranks.free()


@pytest.fixture
def file(ranks, tmp_path):
    layout = StateLayout.of(state(ranks.rank, 0))
    with create_file(tmp_path / "run.h5", ranks, FileSpec(layout, "ranks"), 20) as file:
        yield file
        ranks.mpi.Barrier()


@pytest.fixture(params=["thread", "direct", "mpi"])
def engine(request, ranks, file):
    if request.param == "mpi":
        engine = MpiEngine(ranks, file.placement)
    else:
        rows = DirectRankFile if request.param == "direct" else RankFile
        engine = ThreadEngine(rows(file.placement))
    with engine:
        yield engine


def test_round_trip_in_random_order(ranks, file, engine):
    pool = BlockPool(file.placement.layout, 2 * NUM_STATES)
    order = np.random.default_rng(ranks.rank).permutation(NUM_STATES)
    rows = {step: file.take_row() for step in range(NUM_STATES)}
    for step in order:
        block = pool.take()
        for name, array in block.arrays.items():
            array[...] = state(ranks.rank, step)[name]
        engine.write(rows[step], block, step)
        engine.progress()
        pool.give_back(block)
    reads = {step: pool.take() for step in order[::-1]}
    transfers = [engine.read(rows[step], block, step) for step, block in reads.items()]
    for transfer in transfers:
        transfer.wait()
    for step, block in reads.items():
        for name, array in state(ranks.rank, step).items():
            assert block.arrays[name].tobytes() == array.tobytes()


def test_hdf5_finds_every_state(ranks, file, engine):
    block = BlockPool(file.placement.layout, 1).take()
    for step in range(NUM_STATES):
        for name, array in state(ranks.rank, step).items():
            block.arrays[name][...] = array
        engine.write(NUM_STATES - step, block, step).wait()
    ranks.mpi.Barrier()
    with h5py.File(file.path, "r", locking=False) as found:
        rows, index = found["snapshots"][...], found["index"][...]
        described = json.loads(found["layout"][...].tobytes())
        assert rows.shape[1] == file.placement.row_bytes
    for step in range(NUM_STATES):
        row = rows[NUM_STATES - step]
        entries = index[NUM_STATES - step]
        assert (entries["step"] == step).all()
        assert (entries["sequence"] == step + 1).all()
        assert len(entries) == ranks.size
        start = 0
        for rank in range(ranks.size):
            expected = state(rank, step)
            for field in described["layouts"][described["ranks"][rank]]:
                values = expected[field["name"]]
                at = start + field["offset"]
                assert row[at : at + values.nbytes].tobytes() == values.tobytes()
            start += StateLayout.of(expected).block_bytes
    ranks.mpi.Barrier()


@pytest.mark.needs("h5py-mpi")
def test_hdf5_reads_it_on_all_ranks_together(ranks, file, engine):
    block = BlockPool(file.placement.layout, 1).take()
    own = state(ranks.rank, 3)
    for name, array in own.items():
        block.arrays[name][...] = array
    engine.write(5, block, 3).wait()
    sizes = ranks.gather(file.placement.layout.block_bytes)
    start = sum(sizes[: ranks.rank])
    with h5py.File(file.path, "r", driver="mpio", comm=ranks.mpi, locking=False) as found:
        rows = found["snapshots"]
        with rows.collective:
            part = rows[5, start : start + sizes[ranks.rank]]
    for field in file.placement.layout.fields:
        values = own[field.name]
        assert part[field.offset : field.offset + values.nbytes].tobytes() == values.tobytes()


def test_no_two_ranks_share_a_byte(ranks, file):
    place = file.placement
    parts = [(place.offset(row), place.layout.moved_bytes) for row in range(place.rows)] + [
        (place.index_offset(row), 24) for row in range(place.rows)
    ]
    everyone = sorted(part for rank in ranks.gather(parts) for part in rank if part[1])
    for (start, length), (following, _) in pairwise(everyone):
        assert start + length <= following
