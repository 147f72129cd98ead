"""The gradient with respect to the inputs has one row per step, in memory or on disk."""

import h5py
import numpy as np
import pytest
from recurrent_unrolled import Problem, complex_step, copied, distance

import adjoint

SHAPE = (7, 3, 2)


@pytest.fixture(params=["array", "memory map", "HDF5 dataset"])
def place(request, tmp_path):
    """A function that makes room for an array of the inputs' shape."""
    if request.param == "array":
        yield lambda name: np.full(SHAPE, 99.0)
    elif request.param == "memory map":
        yield lambda name: np.lib.format.open_memmap(tmp_path / name, "w+", float, SHAPE)
    else:
        with h5py.File(tmp_path / "inputs.h5", "w") as file:
            yield lambda name: file.create_dataset(name, SHAPE, float)


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("lengths", [None, (6, 2, 5)], ids=str)
def test_it_is_that_of_the_complex_step(place, cell, lengths):
    problem = Problem(cell, 2, lengths=lengths, classes=3)
    inputs, grown = place("inputs"), place("gradient")
    inputs[:] = np.nan_to_num(problem.data()["inputs"])
    network = problem.network(inputs=inputs, input_gradient=grown)
    assert network.per_step == ("inputs",)
    with adjoint.Functional(network, SHAPE[0]) as functional:
        for _ in range(2):
            gradient = functional.value_and_gradient()[1]
    found = {name: np.asarray(array[:]) for name, array in gradient.items()}
    assert distance(found, complex_step(problem, copied(network))) < 1e-12
    assert np.array_equal(grown[:], found["inputs"])


def test_it_needs_inputs_that_are_an_array_of_its_shape():
    problem = Problem("tanh")
    inputs = problem.data()["inputs"]
    with pytest.raises(adjoint.ArgumentError, match="inputs are a function"):
        problem.network(inputs=lambda i, j: inputs[i:j], input_gradient=np.zeros(SHAPE))
    with pytest.raises(adjoint.ArgumentError, match=r"shape \(7, 3, 3\) and inputs \(7, 3, 2\)"):
        problem.network(input_gradient=np.zeros((7, 3, 3)))
