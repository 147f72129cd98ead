"""Blocks that were never taken take no memory, and blocks no longer referenced release it."""

import gc
import mmap
import os
from pathlib import Path

import numpy as np

from adjoint.storage.blocks import BlockPool
from adjoint.storage.state_layout import StateLayout

BLOCK_BYTES = 8 * 2**20
LAYOUT = StateLayout.of({"u": np.zeros(BLOCK_BYTES, np.uint8)})


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_only_the_blocks_that_are_used_become_resident():
    before = resident_bytes()
    pool = BlockPool(LAYOUT, 1000)
    assert resident_bytes() - before < BLOCK_BYTES / 2
    blocks = [pool.take() for _ in range(3)]
    blocks[0].bytes[...] = 1
    blocks[1].bytes[...] = 1
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


def test_blocks_begin_on_a_page_and_are_zero():
    pool = BlockPool(StateLayout.of({"u": np.zeros(100), "v": np.zeros(7)}), 5)
    for _ in range(5):
        block = pool.take()
        assert block.bytes.ctypes.data % mmap.PAGESIZE == 0
        assert not block.bytes.any()
        block.arrays["v"][...] = 3
        assert block.bytes.any()


def test_rank_without_state_has_empty_blocks():
    block = BlockPool(StateLayout.of({}), 1).take()
    assert block.bytes.size == 0
    assert block.arrays == {}
