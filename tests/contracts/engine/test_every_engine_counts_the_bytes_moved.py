"""A call that silently moves less than it was asked to leaves no wrong state behind."""

import errno
import os
from types import SimpleNamespace

import pytest

from adjoint.errors import TransferError
from adjoint.storage import file_io
from adjoint.storage.engines import direct_io

PIECE = 8192


class Short:
    """Nonblocking MPI calls on a file that move only the first bytes."""

    def __init__(self, file):
        self.file = file

    def Iwrite_at(self, offset, buffer):  # noqa: N802
        return self.file.Iwrite_at(offset, [buffer[0][:PIECE], PIECE, buffer[2]])

    def Iread_at(self, offset, buffer):  # noqa: N802
        return self.file.Iread_at(offset, [buffer[0][:PIECE], PIECE, buffer[2]])

    def Close(self):  # noqa: N802
        self.file.Close()


@pytest.fixture
def shortened(monkeypatch):
    """Limit every call of the operating system to one piece, from now on."""

    def make():
        short = SimpleNamespace(
            pwrite=lambda fd, data, offset: os.pwrite(fd, data[:PIECE], offset),
            preadv=lambda fd, data, offset: os.preadv(fd, [data[0][:PIECE]], offset),
            close=os.close,
        )
        monkeypatch.setattr(file_io, "os", short)
        monkeypatch.setattr(direct_io, "os", short)

    return make


def test_a_short_call_is_completed_or_reported(bench, kind, shortened, is_state):
    assert bench.pool.layout.nbytes > 2 * PIECE
    if kind == "mpi":
        bench.engine.write(1, bench.block(5), step=5).wait()
        bench.engine._mpi = Short(bench.engine._mpi)
        for transfer in (
            bench.engine.write(0, bench.block(4), step=4),
            bench.engine.read(1, bench.blank(), step=5),
        ):
            with pytest.raises(TransferError, match="bytes too few") as raised:
                transfer.wait()
            assert raised.value.errno == errno.EIO
        with pytest.raises(TransferError, match="no valid state"):
            bench.engine.read(0, bench.blank(), step=4).wait()
        return
    shortened()
    bench.engine.write(0, bench.block(4), step=4).wait()
    target = bench.blank()
    bench.engine.read(0, target, step=4).wait()
    assert is_state(target, 4)
