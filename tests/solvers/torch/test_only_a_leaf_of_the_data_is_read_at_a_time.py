"""Inputs and targets of any kind are read one leaf at a time."""

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import LEAF_STEPS, LENGTHS, NUM_STEPS, Model, gradients_of  # noqa: E402


def memory_map(array, folder, name):
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def function(array, folder, name):
    return lambda start, stop: array[start:stop].copy()


def reversed_twice(array, folder, name):
    return array[::-1].copy()[::-1]


SOURCES = [memory_map, function, reversed_twice]


@pytest.mark.parametrize("source", SOURCES)
def test_from_arrays(source, tmp_path):
    model = Model("LSTM")
    with model.sequence() as sequence:
        expected = gradients_of(sequence, model)
    inputs = source(model.inputs.numpy(), tmp_path, "inputs")
    targets = source(model.targets.numpy(), tmp_path, "targets")
    with model.sequence(inputs=inputs, targets=targets, num_steps=NUM_STEPS) as sequence:
        found = gradients_of(sequence, model)
    assert found[0] == expected[0]
    assert all(map(torch.equal, found[1], expected[1]))


def test_from_an_hdf5_dataset(tmp_path):
    model = Model("GRUCell", lengths=LENGTHS)
    with model.sequence() as sequence:
        expected = gradients_of(sequence, model)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["inputs"], file["targets"] = model.inputs.numpy(), model.targets.numpy()
        with model.sequence(inputs=file["inputs"], targets=file["targets"]) as sequence:
            found = gradients_of(sequence, model)
    assert found[0] == expected[0]
    assert all(map(torch.equal, found[1], expected[1]))


def test_a_range_is_never_longer_than_a_leaf():
    model, ranges = Model("own"), []

    def inputs(start, stop):
        ranges.append((start, stop))
        return model.inputs[start:stop]

    with model.sequence(inputs=inputs, num_steps=NUM_STEPS) as sequence:
        sequence.backward()
    assert {start % LEAF_STEPS for start, _ in ranges} == {0}
    assert {stop - start for start, stop in ranges} == {LEAF_STEPS, NUM_STEPS % LEAF_STEPS}
