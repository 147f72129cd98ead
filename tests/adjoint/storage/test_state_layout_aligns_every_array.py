"""Arrays lie in the given order, do not overlap, are aligned, and fit into the block."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoint.storage.state_layout import StateLayout

SHAPES = st.lists(st.integers(0, 40), max_size=3).map(tuple)
DTYPES = st.sampled_from(["f4", "f8", "c16", "u1", "i8", "?", ">f8", "f2"])
STATES = st.lists(st.tuples(SHAPES, DTYPES), max_size=6).map(
    lambda fields: {f"field {i}": np.zeros(*field) for i, field in enumerate(fields)}
)


@given(STATES)
def test_fields_neither_overlap_nor_leave_the_block(state):
    layout = StateLayout.of(state)
    owner = np.full(layout.memory_bytes, -1)
    for i, field in enumerate(layout.fields):
        array = state[field.name]
        assert (field.shape, field.dtype) == (array.shape, array.dtype)
        assert field.offset % 64 == 0
        bytes_of_field = owner[field.offset : field.offset + array.nbytes]
        assert bytes_of_field.size == array.nbytes
        assert (bytes_of_field == -1).all()
        bytes_of_field[...] = i
    assert [field.name for field in layout.fields] == list(state)
    assert (owner[layout.nbytes :] == -1).all()


@given(STATES, st.integers(0, 2**32 - 1))
def test_views_are_the_bytes_of_the_block(state, seed):
    layout = StateLayout.of(state)
    block = np.random.default_rng(seed).integers(0, 2, layout.memory_bytes, np.uint8)
    views = layout.views(block)
    for field in layout.fields:
        array = state[field.name]
        own = block[field.offset : field.offset + array.nbytes].tobytes()
        assert views[field.name].tobytes() == own
        assert views[field.name].flags.c_contiguous
        assert views[field.name].flags.writeable


@pytest.mark.parametrize(
    ("nbytes", "memory_bytes", "moved_bytes", "block_bytes"),
    [
        (0, 0, 0, 0),
        (1, 64, 64, 4096),
        (4096, 4096, 4096, 4096),
        (4097, 4160, 4160, 8192),
        (2**16 - 1, 2**16, 2**16, 2**16),
        (2**16 + 1, 2**16 + 64, 2**16 + 4096, 2**16 + 4096),
        (2**20 - 1, 2**20, 2**20, 2**20),
        (2**20 + 1, 2**20 + 64, 2**20 + 4096, 2**21),
        (5 * 2**20, 5 * 2**20, 5 * 2**20, 5 * 2**20),
    ],
)
def test_small_blocks_are_cache_lines_in_memory_and_all_are_pages_in_the_file(
    nbytes, memory_bytes, moved_bytes, block_bytes
):
    layout = StateLayout.of({"u": np.zeros(nbytes, np.uint8)})
    assert layout.nbytes == nbytes
    assert layout.memory_bytes == memory_bytes
    assert layout.moved_bytes == moved_bytes
    assert layout.block_bytes == block_bytes


def test_description_is_json_and_distinguishes_layouts():
    one = StateLayout.of({"u": np.zeros((2, 3)), "v": np.zeros(4, np.float32)})
    other = StateLayout.of({"v": np.zeros(4, np.float32), "u": np.zeros((2, 3))})
    assert json.loads(json.dumps(one.description()))[0] == {
        "name": "u",
        "shape": [2, 3],
        "dtype": "<f8",
        "type": "float64",
        "offset": 0,
    }
    assert one != other
    assert one == StateLayout.of({"u": np.ones((2, 3)), "v": np.ones(4, np.float32)})
