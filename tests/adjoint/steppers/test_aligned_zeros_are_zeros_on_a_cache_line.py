"""`aligned_zeros` returns what `numpy.zeros` does, at an address that is a multiple of 64."""

import numpy as np
import pytest

from adjoint.steppers import aligned_zeros


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16", "u1", "?", ">f8"])
@pytest.mark.parametrize("shape", [(), 0, 7, (3, 5), (2, 0, 4), (129, 33)])
def test_zeros(shape, dtype):
    for _ in range(5):
        array, expected = aligned_zeros(shape, dtype), np.zeros(shape, dtype)
        assert array.ctypes.data % 64 == 0 or array.size == 0
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
        assert not array.any()
        array[...] = 1
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_objects_are_left_to_numpy():
    assert aligned_zeros(2, object).tolist() == [0, 0]
