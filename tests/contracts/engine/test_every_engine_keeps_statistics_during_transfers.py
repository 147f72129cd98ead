"""The statistics of an engine are right while transfers are under way, not only afterwards."""

import time

import pytest

from adjoint.errors import TransferError


def test_backlog_is_posted_minus_done(bench):
    writes = [bench.engine.write(row, bench.block(row), step=row) for row in range(8)]
    figures = bench.engine.statistics
    assert figures.writes_posted == 8
    assert 0 <= figures.writes_done <= 8
    for write in writes:
        write.wait()
    assert bench.engine.statistics.writes_done == 8
    assert bench.engine.statistics.reads_done == 0


def test_failed_transfers_count_as_done(bench):
    block = bench.block(1)
    block.arrays["velocity"][0, 0] = float("nan")
    bench.engine.write(0, block, step=1).settle()
    read = bench.engine.read(0, bench.blank(), step=1)
    with pytest.raises(TransferError):
        read.wait()
    figures = bench.engine.statistics
    assert (figures.writes_posted, figures.writes_done, figures.reads_done) == (1, 1, 1)
    assert (figures.bytes_written, figures.bytes_read) == (0, 0)
    assert len(bench.engine.take_failed()) == 2


def test_busy_time_grows_while_a_write_goes_on(bench):
    file = bench.engine._file
    vouch = file.vouch

    def slow(*given):
        time.sleep(0.1)
        return vouch(*given)

    file.vouch = slow
    write = bench.engine.write(0, bench.block(1), step=1)
    seen = [0.0]
    in_background = not write.done
    while not write.done:
        seen.append(bench.engine.statistics.write_seconds)
        time.sleep(0.005)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3 or not in_background
    figures = bench.engine.statistics
    # MPI's transfers are taken to have ended midway between two looks.
    assert figures.write_seconds > 0.09
    assert figures.write_seconds >= seen[-1]
    assert figures.transfer_seconds == figures.write_seconds
    time.sleep(0.02)
    assert bench.engine.statistics.write_seconds == figures.write_seconds


def test_reads_and_writes_are_distinguished(bench):
    for row in range(3):
        bench.engine.write(row, bench.block(row), step=row).wait()
    before = bench.engine.statistics
    for row in range(3):
        bench.engine.read(row, bench.blank(), step=row).wait()
    after = bench.engine.statistics
    assert before.read_seconds == 0 < after.read_seconds
    assert before.write_seconds == after.write_seconds > 0
    assert (after.writes_done, after.reads_done) == (3, 3)
