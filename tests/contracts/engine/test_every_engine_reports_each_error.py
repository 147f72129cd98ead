"""The error of a transfer is raised by waiting for it, or else by closing the engine."""

import errno
import os

import numpy as np
import pytest

from adjoint.errors import ArgumentError, NonFiniteError, TransferError


@pytest.fixture
def cut(bench):
    """A bench whose file was cut short after state 6 was written to row 7."""
    bench.engine.write(7, bench.block(6), step=6).wait()
    os.truncate(bench.file.path, bench.file.placement.offset(7) + 100)
    return bench


def test_wait_raises_the_error_and_names_the_transfer(cut):
    message = r"read state 6, row 7 of .*snapshots\.h5, on rank 0"
    with pytest.raises(TransferError, match=message) as raised:
        cut.engine.read(7, cut.blank(), step=6).wait()
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.errno == raised.value.__cause__.errno
    assert "another program has cut it short" in str(raised.value)


def test_close_raises_an_error_nobody_waited_for(cut):
    cut.engine.read(7, cut.blank(), step=6)
    with pytest.raises(TransferError, match="row 7"):
        cut.engine.close()
    cut.engine.close()


def test_close_does_not_repeat_an_error(cut):
    with pytest.raises(TransferError):
        cut.engine.read(7, cut.blank(), step=6).wait()
    cut.engine.close()


def test_both_errors_are_kept_on_leaving_with_another(cut):
    cut.engine.read(7, cut.blank(), step=6)
    with pytest.raises(KeyError) as raised, cut.engine:
        raise KeyError
    assert "row 7" in raised.value.__notes__[0]


def test_settle_leaves_the_error_to_wait(cut):
    block = cut.blank()
    transfer = cut.engine.read(7, block, step=6)
    block.settle()
    assert transfer.done
    assert not block.busy
    with pytest.raises(TransferError):
        transfer.wait()


def test_other_transfers_go_on_after_a_failure(cut, is_state):
    failing = cut.engine.read(7, cut.blank(), step=6)
    cut.engine.write(2, cut.block(3), step=3).wait()
    target = cut.blank()
    cut.engine.read(2, target, step=3).wait()
    assert is_state(target, 3)
    with pytest.raises(TransferError):
        failing.wait()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["velocity", "spectrum"])
def test_non_finite_state_is_refused(bench, name, value):
    block = bench.block(11)
    block.arrays[name].flat[-1] = value
    with pytest.raises(NonFiniteError, match=f"'{name}' is not finite in state 11 on rank 0"):
        bench.engine.write(0, block, step=11).wait()
    with pytest.raises(TransferError, match="no valid state"):
        bench.engine.read(0, bench.blank(), step=11).wait()


def test_failed_write_invalidates_the_row(bench):
    bench.engine.write(0, bench.block(1), step=1).wait()
    block = bench.block(2)
    block.arrays["velocity"][0, 0] = np.nan
    with pytest.raises(NonFiniteError):
        bench.engine.write(0, block, step=2).wait()
    with pytest.raises(TransferError, match="no valid state"):
        bench.engine.read(0, bench.blank(), step=1).wait()


def test_row_is_read_only_for_the_step_it_holds(bench):
    bench.engine.write(4, bench.block(1), step=1).wait()
    with pytest.raises(TransferError, match="the row holds state 1"):
        bench.engine.read(4, bench.blank(), step=2).wait()


@pytest.mark.parametrize("row", [-1, 8])
def test_row_that_does_not_exist_is_refused_at_once(bench, row):
    with pytest.raises(ArgumentError, match=f"no row {row}"):
        bench.engine.write(row, bench.block(0), step=0)
    with pytest.raises(ArgumentError, match=f"no row {row}"):
        bench.engine.read(row, bench.blank(), step=0)


def test_full_disk_is_an_error_and_keeps_what_was_written(make_bench, mount, is_state):
    bench = make_bench(rows=100, blocks=101, folder=mount("tmpfs", "size=1m"))
    assert bench.file.placement.row_bytes * 100 > 2**20
    writes = [bench.engine.write(row, bench.block(row), step=row) for row in range(100)]
    for write in writes:
        write.settle()
    failed = [row for row, write in enumerate(writes) if write.error is not None]
    assert failed == list(range(failed[0], 100))
    for row in failed:
        with pytest.raises(TransferError, match=f"write state {row}") as raised:
            writes[row].wait()
        assert raised.value.errno == errno.ENOSPC
    target = bench.blank()
    for row in range(failed[0]):
        bench.engine.read(row, target, step=row).wait()
        assert is_state(target, row)
