"""Data written by direct I/O are read through the page cache, and the other way round."""

import os

import h5py
import numpy as np
import pytest

from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(3000)})


@pytest.fixture
def file(tmp_path):
    with create_file(tmp_path / "run.h5", communicator(None), FileSpec(LAYOUT, ""), 6) as file:
        yield file


@pytest.fixture
def direct(file):
    direct = DirectRankFile(file.placement)
    yield direct
    direct.close()


@pytest.fixture
def buffered(file):
    buffered = RankFile(file.placement)
    yield buffered
    buffered.close()


def block(number):
    made = Block(LAYOUT)
    made.arrays["u"][:] = np.random.default_rng(number).standard_normal(3000)
    return made


def written(file, row, number):
    state = block(number)
    file.prepare_write(row, state.bytes.size)
    entry = file.vouch(state, number, number, 0.0)
    file.write(row, state)
    file.finish_write(row, entry)
    return state


def read(file, row):
    found = Block(LAYOUT)
    file.read(row, found)
    return found.arrays["u"]


def test_a_direct_write_replaces_cached_pages(direct, buffered):
    for number in range(1, 6):
        written(buffered, 2, 10 + number)
        read(buffered, 2)
        state = written(direct, 2, number)
        assert np.array_equal(read(buffered, 2), state.arrays["u"])


def test_a_direct_read_finds_data_that_are_only_in_the_cache(direct, buffered):
    for number in range(1, 6):
        state = written(buffered, 2, number)
        assert np.array_equal(read(direct, 2), state.arrays["u"])


def test_a_direct_write_leaves_other_rows_and_the_index_alone(direct, buffered, file):
    states = {}
    for row in range(6):
        states[row] = written((direct, buffered)[row % 2], row, row + 1)
    written(buffered, 3, 99)
    with h5py.File(file.path, "r", locking=False) as found:
        assert list(found["index"][:, 0]["step"]) == [1, 2, 3, 99, 5, 6]
        for row in (0, 1, 2, 4, 5):
            inside = found["snapshots"][row, : LAYOUT.nbytes].view(np.float64)
            assert np.array_equal(inside, states[row].arrays["u"])


def test_a_direct_read_finds_a_bit_changed_through_the_cache(direct, file):
    state = written(direct, 1, 5)
    descriptor = os.open(file.path, os.O_RDWR)
    (byte,) = os.pread(descriptor, 1, file.placement.offset(1))
    os.pwrite(descriptor, bytes([byte ^ 1]), file.placement.offset(1))
    os.close(descriptor)
    found = Block(LAYOUT)
    direct.read(1, found)
    assert not np.array_equal(found.bytes, state.bytes)
    with pytest.raises(OSError, match="checksum"):
        direct.finish_read(1, found)
