"""From a file or a function, never more than the rows of one leaf are read at a time."""

import h5py
import numpy as np
import pytest
from recurrent_unrolled import Problem

import adjoint
from solvers.sequences import Rows

PROBLEM = Problem("gru", num_steps=50, lengths=(41, 30, 9))
LEAF = 8


class Watched:
    """Something sliceable that notes which ranges were read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.read: list[tuple[int, int]] = []

    def __getitem__(self, steps: slice) -> np.ndarray:
        self.read.append((steps.start, steps.stop))
        return self.array[steps]


def gradient(**data) -> dict[str, np.ndarray]:
    network = PROBLEM.network(leaf_steps=LEAF, **data)
    return adjoint.gradient(network, PROBLEM.num_steps, memory="100 kB").gradient


def assert_same(found, expected) -> None:
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("name", ["inputs", "targets"])
def test_ranges_are_within_a_leaf_and_before_the_longest_end(name):
    data = Watched(PROBLEM.data()[name])
    gradient(**{name: data})
    assert {start // LEAF for start, _ in data.read} == set(range(6))
    assert all(start // LEAF == (stop - 1) // LEAF for start, stop in data.read)
    assert max(stop for _, stop in data.read) == 41


def test_a_function_a_memory_map_and_a_dataset_give_what_an_array_gives(tmp_path):
    data = {name: PROBLEM.data()[name] for name in ("inputs", "targets")}
    expected = gradient(**data)
    assert_same(gradient(**{k: lambda i, j, v=v: v[i:j] for k, v in data.items()}), expected)
    maps = {}
    for name, array in data.items():
        np.save(tmp_path / name, array)
        maps[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    assert_same(gradient(**maps), expected)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        assert_same(
            gradient(**{k: file.create_dataset(k, data=v) for k, v in data.items()}), expected
        )


def test_a_function_may_use_one_buffer_for_all_its_rows():
    inputs, buffer = PROBLEM.data()["inputs"], np.empty((LEAF, 3, 2))

    def rows(start: int, stop: int) -> np.ndarray:
        buffer[: stop - start] = inputs[start:stop]
        return buffer[: stop - start]

    assert_same(gradient(inputs=rows), gradient(inputs=inputs))


def test_an_array_is_not_copied_to_be_read():
    array = np.arange(30.0).reshape(10, 3)
    assert np.shares_memory(Rows(array, "inputs").read(2, 5), array)
