"""A state's hash changes with every byte of it; for large states, of the sample of its step."""

import numpy as np
import pytest

from adjoint.storage.checksums import MAX_WHOLE_BYTES, PIECE_BYTES, SAMPLE_PIECES, StateHash

RNG = np.random.default_rng(3)


def flipped(arrays, name, byte):
    """Return a copy with one bit changed."""
    copies = {key: array.copy() for key, array in arrays.items()}
    raw = copies[name].reshape(-1).view(np.uint8)
    raw[byte] ^= 1 << int(RNG.integers(8))
    return copies


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c16", "i8", "u1", "?", ">f8", "m8[s]"])
def test_every_byte_of_a_small_state(dtype):
    arrays = {"a": RNG.bytes(48 * 16), "b": RNG.bytes(16), "c": b""}
    arrays = {name: np.frombuffer(data, dtype) for name, data in arrays.items()}
    hashed = StateHash(arrays)
    for name, array in arrays.items():
        for byte in range(array.nbytes):
            assert hashed.of(flipped(arrays, name, byte), 4) != hashed.of(arrays, 4)


def test_names_and_order_of_values_matter():
    one = {"a": np.array(1.5), "b": np.array([[2.5]])}
    other = {"a": np.array(2.5), "b": np.array([[1.5]])}
    assert StateHash(one).of(one, 0) != StateHash(one).of(other, 0)


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_values_that_are_not_finite_equal_themselves(value):
    arrays = {"a": np.full(5, value)}
    hashed = StateHash(arrays)
    assert hashed.of(arrays, 0) == hashed.of({"a": np.full(5, value)}, 0)
    assert hashed.of(arrays, 0) != hashed.of({"a": np.zeros(5)}, 0)


def test_padding_of_long_doubles_does_not_matter():
    values = np.linspace(0, 1, 40, dtype=np.longdouble)
    padded = values.copy()
    if np.finfo(np.longdouble).nmant == 63:
        padded.view(np.uint8).reshape(-1, values.itemsize)[:, 10:] ^= 0xFF
    assert (padded == values).all()
    hashed = StateHash({"a": values})
    assert hashed.of({"a": padded}, 0) == hashed.of({"a": values}, 0)
    padded[17] += np.finfo(np.longdouble).eps
    assert hashed.of({"a": padded}, 0) != hashed.of({"a": values}, 0)


# Samples ------------------------------------------------------------------------------------------

LARGE = {"u": RNG.random(MAX_WHOLE_BYTES // 4), "count": np.array([7])}


def seen(step):
    """Return the places of a large array that the hash at a step depends on."""
    hashed, places = StateHash(LARGE), []
    expected = hashed.of(LARGE, step)
    block = MAX_WHOLE_BYTES // 4 // 4096
    for start in range(0, LARGE["u"].size, block):
        changed = dict(LARGE, u=LARGE["u"].copy())
        changed["u"][start : start + block] += 1
        if hashed.of(changed, step) != expected:
            places.append(start)
    return places


def test_the_sample_is_spread_over_a_large_state_and_depends_on_the_step_alone():
    places = seen(12)
    assert places == seen(12)
    assert places != seen(13)
    pieces = SAMPLE_PIECES // len(LARGE)
    assert pieces <= len(places) <= 2 * pieces + pieces * PIECE_BYTES // 256
    gaps = np.diff(places)
    assert gaps.max() <= 1.2 * LARGE["u"].size / pieces


def test_small_arrays_of_a_large_state_are_hashed_whole():
    hashed = StateHash(LARGE)
    for byte in range(8):
        assert hashed.of(flipped(LARGE, "count", byte), 5) != hashed.of(LARGE, 5)


def test_whatever_changes_everywhere_is_seen_at_every_step():
    hashed = StateHash(LARGE)
    changed = dict(LARGE, u=LARGE["u"] * (1 + 1e-15))
    for step in range(20):
        assert hashed.of(changed, step) != hashed.of(LARGE, step)
