"""An infinity or a NaN is found wherever it is, without allocating an array as large as a state."""

import tracemalloc

import numpy as np
import pytest

from adjoint.storage.checksums import CHUNK_ELEMENTS, first_non_finite

BAD = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("bad", [*BAD, complex(0, np.nan), complex(np.inf, 1)])
@pytest.mark.parametrize("at", [0, 1, CHUNK_ELEMENTS - 1, CHUNK_ELEMENTS, -1])
def test_one_bad_value_among_many(bad, at):
    values = np.ones(2 * CHUNK_ELEMENTS + 3, complex if isinstance(bad, complex) else float)
    assert first_non_finite({"a": np.ones(3), "b": values}) is None
    values[at] = bad
    assert first_non_finite({"a": np.ones(3), "b": values, "c": values}) == "b"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "g", "c8", "c16"])
@pytest.mark.parametrize("bad", BAD)
def test_every_floating_point_type(dtype, bad):
    values = np.ones((3, 5), dtype)
    values[2, 1] = bad
    assert first_non_finite({"u": values}) == "u"


def test_largest_values_are_finite():
    assert first_non_finite({"u": np.full(9, np.finfo(float).max)}) is None


@pytest.mark.parametrize("array", [np.arange(3), np.array([True]), np.zeros((0, 4)), np.array(2.0)])
def test_integers_and_empty_arrays_are_finite(array):
    assert first_non_finite({"u": array}) is None


def test_little_memory_is_allocated():
    state = {"u": np.ones(1 << 22), "v": np.ones(1 << 21, complex)}
    tracemalloc.start()
    try:
        first_non_finite(state)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20 < state["u"].nbytes / 30
