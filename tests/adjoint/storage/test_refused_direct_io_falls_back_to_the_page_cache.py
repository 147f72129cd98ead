"""A file system without direct I/O, or with it for larger sectors only, is used nevertheless.

The refusals are simulated by replacing calls of the operating system.
"""

import errno
import os

import numpy as np
import pytest

from adjoint.parallel import communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines import direct_io
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(9000)})


class System:
    """`os`, but for what refuses when it is asked for direct I/O."""

    O_DIRECT = getattr(os, "O_DIRECT", 0)

    def __init__(self, refusing, number, most=None):
        self.refusing, self.number, self.most = refusing, number, most
        self.direct = set()
        self.refused = 0

    def __getattr__(self, name):
        return getattr(os, name)

    def open(self, path, flags):
        if flags & self.O_DIRECT:
            self.refuse("open")
        # Opened without the flag: what is being tested must not depend on the file system.
        descriptor = os.open(path, flags & ~self.O_DIRECT)
        self.direct.add(descriptor)
        return descriptor

    def pwrite(self, descriptor, data, offset):
        assert descriptor in self.direct
        self.refuse("write")
        return os.pwrite(descriptor, data[: self.most], offset)

    def preadv(self, descriptor, buffers, offset):
        assert descriptor in self.direct
        self.refuse("read")
        return os.preadv(descriptor, [buffers[0][: self.most]], offset)

    def refuse(self, what):
        if what == self.refusing:
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Open a direct engine on a system that refuses something; return both."""
    engines = []

    def make(*refusing, **options):
        system = System(*refusing, **options)
        monkeypatch.setattr(direct_io, "os", system)
        file = create_file(tmp_path / "run.h5", communicator(None), FileSpec(LAYOUT, ""), 4)
        engines.append((file, ThreadEngine(DirectRankFile(file.placement))))
        return engines[-1][1], system

    yield make
    for file, engine in engines:
        engine.close()
        file.close()


def round_trip(engine, row):
    block, found = Block(LAYOUT), Block(LAYOUT)
    block.arrays["u"][:] = np.random.default_rng(row).standard_normal(9000)
    engine.write(row, block, step=row).wait()
    engine.read(row, found, step=row).wait()
    return np.array_equal(block.bytes, found.bytes)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("refusing", ["open", "write", "read"])
def test_refusal_is_remembered(opened, refusing, number):
    engine, system = opened(refusing, number)
    assert engine.uses_page_cache == (refusing == "open")
    assert all(round_trip(engine, row) for row in range(4))
    assert engine.uses_page_cache
    assert engine.name == "a transfer thread"
    assert system.refused == 1  # it is not tried again


def test_direct_io_is_used_where_it_works(opened):
    engine, system = opened(None, 0)
    assert all(round_trip(engine, row) for row in range(4))
    assert not engine.uses_page_cache
    assert engine.name == "a transfer thread with direct I/O"
    assert len(system.direct) == 1


def test_the_rest_of_a_short_transfer_uses_the_page_cache(opened):
    engine, _ = opened(None, 0, most=4096)
    assert all(round_trip(engine, row) for row in range(4))
    assert not engine.uses_page_cache


def test_other_errors_are_raised(opened):
    engine, _ = opened("write", errno.EIO)
    with pytest.raises(OSError, match="Input/output error") as raised:
        round_trip(engine, 0)
    assert raised.value.errno == errno.EIO
    assert not engine.uses_page_cache


def test_error_on_opening_is_raised(opened):
    with pytest.raises(PermissionError):
        opened("open", errno.EACCES)


def test_small_states_do_not_ask_for_it(tmp_path, monkeypatch):
    system = System(None, 0)
    monkeypatch.setattr(direct_io, "os", system)
    layout = StateLayout.of({"u": np.zeros(8000)})
    file = create_file(tmp_path / "run.h5", communicator(None), FileSpec(layout, ""), 4)
    rows = DirectRankFile(file.placement)
    assert rows.uses_page_cache
    assert not system.direct
    rows.close()
    file.close()
