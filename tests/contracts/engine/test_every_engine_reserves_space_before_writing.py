"""A full disk shows before any byte of a row is written."""

import errno
import os

import pytest

from adjoint.errors import TransferError
from adjoint.storage.engines import row_io


@pytest.fixture
def bench(make_bench, monkeypatch):
    """A bench on a disk that allows one more reservation, with the list of all attempts."""
    bench = make_bench()
    bench.asked = []
    reserve = os.posix_fallocate

    def refuse(descriptor, offset, size):
        bench.asked.append((offset, size))
        if len(bench.asked) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reserve(descriptor, offset, size)

    monkeypatch.setattr(row_io.os, "posix_fallocate", refuse)
    return bench


def test_nothing_is_written_without_a_reservation(bench, is_state):
    bench.engine.write(0, bench.block(7), step=7).wait()
    place, size = bench.file.placement, bench.pool.layout.moved_bytes
    assert bench.asked == [(place.offset(0), size)]
    with pytest.raises(TransferError) as raised:
        bench.engine.write(1, bench.block(8), step=8).wait()
    assert raised.value.errno == errno.ENOSPC
    assert bench.asked[1:] == [(place.offset(1), size)]
    with open(bench.file.path, "rb") as file:
        file.seek(place.offset(1))
        assert not any(file.read(size))
    target = bench.blank()
    bench.engine.read(0, target, step=7).wait()
    assert is_state(target, 7)


def test_a_row_is_reserved_once(bench):
    for step in range(5):
        bench.engine.write(0, bench.block(step), step).wait()
    assert len(bench.asked) == 1
