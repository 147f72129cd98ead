"""A changed bit in the file is an error, never a wrong state."""

import os

import pytest

from adjoint.errors import TransferError


@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_flipped_bit_is_detected(bench, where):
    bench.engine.write(2, bench.block(5), step=5).wait()
    at = bench.file.placement.offset(2) + int(where * (bench.pool.layout.nbytes - 1))
    flip_bit(bench.file.path, at)
    with pytest.raises(TransferError, match="checksum"):
        bench.engine.read(2, bench.blank(), step=5).wait()


def test_bit_flipped_back_is_accepted(bench, is_state):
    bench.engine.write(2, bench.block(5), step=5).wait()
    for _ in range(2):
        flip_bit(bench.file.path, bench.file.placement.offset(2))
    target = bench.blank()
    bench.engine.read(2, target, step=5).wait()
    assert is_state(target, 5)


def flip_bit(path, offset):
    descriptor = os.open(path, os.O_RDWR)
    try:
        (byte,) = os.pread(descriptor, 1, offset)
        os.pwrite(descriptor, bytes([byte ^ 0x10]), offset)
    finally:
        os.close(descriptor)
