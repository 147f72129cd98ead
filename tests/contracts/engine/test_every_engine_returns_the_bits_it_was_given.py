"""What is read from a row is, bit for bit, what was last written to it."""

import sys
import time

import h5py
import numpy as np


def test_rows_written_and_read_in_random_order(bench, is_state, rng):
    for row in rng.permutation(8):
        block = bench.block(step=100 + row)
        bench.engine.write(row, block, step=100 + row).wait()
        bench.pool.give_back(block)
    for row in rng.permutation(8):
        block = bench.blank()
        bench.engine.read(row, block, step=100 + row).wait()
        assert is_state(block, 100 + row)
        bench.pool.give_back(block)


def test_many_transfers_outstanding(make_bench, is_state):
    bench = make_bench(rows=40, blocks=80)
    written = [bench.block(step) for step in range(40)]
    writes = [bench.engine.write(row, block, step=row) for row, block in enumerate(written)]
    read = [bench.blank() for _ in range(40)]
    reads = [bench.engine.read(row, block, step=row) for row, block in enumerate(read)]
    for transfer in reads + writes:
        transfer.wait()
    assert all(is_state(block, step) for step, block in enumerate(read))
    assert all(is_state(block, step) for step, block in enumerate(written))


def test_progress_alone_finishes_transfers(bench, is_state):
    write = bench.engine.write(3, bench.block(7), step=7)
    while not write.done:
        bench.engine.progress()
    target = bench.blank()
    read = bench.engine.read(3, target, step=7)
    while not read.done:
        bench.engine.progress()
    assert is_state(target, 7)


def test_one_row_written_again_and_again_without_waiting(bench, is_state):
    for step in range(6):
        bench.engine.write(0, bench.block(step), step)
    target = bench.blank()
    bench.engine.read(0, target, step=5).wait()
    assert is_state(target, 5)


def test_one_block_written_to_many_rows_then_read_into(bench, is_state):
    bench.engine.write(0, bench.block(1), step=1)
    block = bench.block(2)
    for row in range(1, 6):
        bench.engine.write(row, block, step=2)
    bench.engine.read(0, block, step=1).wait()
    assert is_state(block, 1)
    for row in range(1, 6):
        bench.engine.read(row, block, step=2).wait()
        assert is_state(block, 2)


def test_transfers_go_on_after_an_idle_gap(bench, is_state):
    bench.engine.write(0, bench.block(1), step=1).wait()
    time.sleep(1.2)  # longer than the second after which another package's writer gave up
    bench.engine.write(1, bench.block(2), step=2).wait()
    target = bench.blank()
    bench.engine.read(0, target, step=1).wait()
    assert is_state(target, 1)


def test_rows_beyond_4_gib(make_bench, is_state):
    bench = make_bench(rows=1_000_000)
    rows = {row: row * bench.file.placement.row_bytes for row in (1, 200_000, 999_999)}
    assert max(rows.values()) > 2**32
    for row in rows:
        bench.engine.write(row, bench.block(row), step=row).wait()
    for row in rows:
        target = bench.blank()
        bench.engine.read(row, target, step=row).wait()
        assert is_state(target, row)


def test_transfers_longer_than_one_call_may_move(bench, is_state, monkeypatch):
    for module in ("file_io", "engines.direct_io", "engines.mpi"):
        if f"adjoint.storage.{module}" in sys.modules:
            monkeypatch.setattr(f"adjoint.storage.{module}.MAX_CALL_BYTES", 4096)
    assert bench.pool.layout.memory_bytes > 3 * 4096
    bench.engine.write(1, bench.block(4), step=4).wait()
    target = bench.blank()
    bench.engine.read(1, target, step=4).wait()
    assert is_state(target, 4)


def test_hdf5_finds_the_state_and_its_index_entry(bench):
    block = bench.block(3)
    bench.engine.write(2, bench.block(9), step=9).wait()
    bench.engine.write(5, block, step=3).wait()
    with h5py.File(bench.file.path, "r", locking=False) as file:
        size = bench.pool.layout.nbytes
        np.testing.assert_array_equal(file["snapshots"][5, :size], block.bytes[:size])
        entries = file["index"][:, 0]
    assert list(entries["step"]) == [0, 0, 9, 0, 0, 3, 0, 0]
    assert list(entries["sequence"]) == [0, 0, 1, 0, 0, 2, 0, 0]


def test_statistics_add_up(bench):
    for row in range(3):
        bench.engine.write(row, bench.block(row), step=row).wait()
    transfer = bench.engine.read(1, bench.blank(), step=1)
    transfer.wait()
    figures, size = bench.engine.statistics, bench.pool.layout.nbytes
    assert (figures.bytes_written, figures.bytes_read) == (3 * size, size)
    assert transfer.ended > transfer.began
    assert transfer.seconds > 0
    assert min(figures.transfer_seconds, figures.post_seconds) > 0
