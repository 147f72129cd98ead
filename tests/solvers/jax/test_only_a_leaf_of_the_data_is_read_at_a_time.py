"""Memory maps, HDF5 datasets and functions give the results of arrays, and are read by leaves."""

import h5py
import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import solvers.jax  # noqa: E402

NUM_STEPS, LEAF_STEPS = 30, 8
ROWS = np.random.default_rng(0).standard_normal((NUM_STEPS, 2)).astype(np.float32)
LABELS = np.arange(NUM_STEPS) % 2


def body(params, carry, x):
    carry = jnp.tanh(params * carry + x["signal"])
    return carry, carry


def loss(params, y, target):
    return y[target]


@pytest.fixture(scope="module")
def value_and_grad():
    with solvers.jax.value_and_grad(body, loss, leaf_steps=LEAF_STEPS) as function:
        yield function


@pytest.fixture
def same(value_and_grad):
    """Raise unless these data give what arrays give."""

    def check(xs, targets=LABELS, **options) -> None:
        found = value_and_grad(0.5, jnp.zeros(2), xs, targets, **options)
        expected = value_and_grad(0.5, jnp.zeros(2), {"signal": ROWS}, LABELS)
        assert [float(a) for a in found] == [float(b) for b in expected]

    return check


class Watched:
    """An array that notes which slices are taken of it."""

    def __init__(self, array):
        self.shape, self.dtype = array.shape, array.dtype
        self.taken: set[tuple[int, int]] = set()
        self._array = array

    def __getitem__(self, steps: slice):
        self.taken.add((steps.start, steps.stop))
        return self._array[steps]


def test_leaf_by_leaf(same):
    watched = Watched(ROWS)
    same({"signal": watched})
    assert watched.taken == {(0, 8), (8, 16), (16, 24), (24, 30)}


def test_arrays_of_jax_and_other_dtypes(same):
    same({"signal": jnp.asarray(ROWS)}, jnp.asarray(LABELS))
    same({"signal": ROWS.astype(np.float64)}, LABELS.astype(np.int64))


def test_a_memory_map(same, tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    same({"signal": np.load(tmp_path / "rows.npy", mmap_mode="r")})


def test_a_dataset(same, tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["rows"], file["labels"] = ROWS, LABELS
        same({"signal": file["rows"]}, file["labels"])


def test_functions(same):
    same({"signal": lambda start, stop: ROWS[start:stop]})
    same(lambda start, stop: {"signal": ROWS[start:stop]})
    same(
        lambda start, stop: {"signal": jnp.asarray(ROWS[start:stop])},
        lambda start, stop: LABELS[start:stop],
        length=NUM_STEPS,
    )


def test_more_rows_than_steps(same):
    same({"signal": np.concatenate([ROWS, ROWS])}, length=NUM_STEPS)
