"""Blocks that were never taken take no memory, and blocks no longer referenced release it."""

import gc
import mmap
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from adjoint.storage.blocks import BlockPool, Room
from adjoint.storage.state_layout import StateLayout

BLOCK_BYTES = 8 * 2**20
LAYOUT = StateLayout.of({"u": np.zeros(BLOCK_BYTES, np.uint8)})
TAPE = StateLayout.of({"u": np.zeros(2 * BLOCK_BYTES, np.uint8)})


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_only_the_blocks_that_are_used_become_resident():
    before = resident_bytes()
    pool = BlockPool(LAYOUT, 1000)
    assert resident_bytes() - before < BLOCK_BYTES / 2
    blocks = [pool.take() for _ in range(2)]
    assert 1.9 < (resident_bytes() - before) / BLOCK_BYTES < 2.5
    blocks.clear()
    del pool
    gc.collect()
    assert resident_bytes() - before < BLOCK_BYTES / 2


def test_block_given_back_and_taken_again_is_the_same_memory():
    pool = BlockPool(LAYOUT, 4)
    before = resident_bytes()
    for _ in range(20):
        block = pool.take()
        block.bytes[...] = 1
        pool.give_back(block)
    assert (resident_bytes() - before) / BLOCK_BYTES < 1.5


def test_touching_makes_blocks_resident_before_they_are_taken():
    before = resident_bytes()
    pool = BlockPool(LAYOUT, 3)
    pool.touch(10)
    touched = resident_bytes()
    assert 2.9 < (touched - before) / BLOCK_BYTES < 3.5
    for _ in range(3):
        pool.take().bytes[...] = 1
    assert resident_bytes() - touched < BLOCK_BYTES / 2
    assert pool.room.peak == 3 * BLOCK_BYTES


@pytest.mark.parametrize(("length", "alignment"), [(100, 64), (1 << 13, mmap.PAGESIZE)])
def test_blocks_are_aligned_and_zero(length, alignment):
    pool = BlockPool(StateLayout.of({"u": np.zeros(length), "v": np.zeros(7)}), 5)
    for _ in range(5):
        block = pool.take()
        assert block.bytes.ctypes.data % alignment == 0
        assert not block.bytes.any()
        block.arrays["v"][...] = 3
        assert block.bytes.any()


def test_a_thousand_small_blocks_take_a_thousand_times_their_size():
    pool = BlockPool(StateLayout.of({"u": np.zeros(1000)}), 10_000)
    before = resident_bytes()
    for block in pool.lend(4_000):
        block.bytes[...] = 1
    assert resident_bytes() - before < 4_000 * 8_000 + 6 * 2**20
    starts = sorted(block.bytes.ctypes.data for block in pool.lend(4_000))
    assert all(after - start >= 8_000 for start, after in pairwise(starts))


def test_idle_blocks_make_room_for_another_kind_and_for_a_tape():
    before = resident_bytes()
    room = Room(6 * BLOCK_BYTES)
    states, tapes = BlockPool(LAYOUT, 6, room), BlockPool(TAPE, room=room)
    states.take_back(touched(states.lend(5)))
    assert resident_bytes() - before > 4.9 * BLOCK_BYTES
    lent = touched(tapes.lend(2))
    assert 5.9 < (resident_bytes() - before) / BLOCK_BYTES < 6.5
    tapes.take_back(lent)
    del lent
    lent = touched(states.lend(6))
    assert 5.9 < (resident_bytes() - before) / BLOCK_BYTES < 6.5
    room.map(2 * BLOCK_BYTES)  # of another kind, while nothing is idle
    states.take_back(lent)
    del lent
    room.map(BLOCK_BYTES)
    assert 2.9 < (resident_bytes() - before) / BLOCK_BYTES < 3.5


def touched(blocks):
    for block in blocks:
        block.bytes[...] = 1
    return blocks


def test_rank_without_state_has_empty_blocks():
    block = BlockPool(StateLayout.of({}), 1).take()
    assert block.bytes.size == 0
    assert block.arrays == {}
