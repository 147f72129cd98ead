"""A per-step control and its gradient may be a memory map or an HDF5 dataset: same bits."""

import h5py
import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.schedules import Revolve

NUM_STEPS = 25


def on_disk(stepper, control, accumulator):
    """Put the force and its gradient in the arrays given."""
    control[...] = stepper.controls["force"]
    stepper.controls["force"] = control
    stepper.accumulators["force"] = accumulator
    return stepper


@pytest.fixture
def expected():
    return adjoint.gradient(Pendulums(3, NUM_STEPS), NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))


def assert_same(result, expected, accumulator):
    assert result.cost == expected.cost
    assert result.gradient["force"] is accumulator
    assert np.asarray(accumulator).tobytes() == expected.gradient["force"].tobytes()
    assert result.gradient["angle"].tobytes() == expected.gradient["angle"].tobytes()


def test_memory_map(tmp_path, expected):
    maps = [
        np.memmap(tmp_path / name, mode="w+", dtype=float, shape=(NUM_STEPS,))
        for name in ("force", "gradient")
    ]
    stepper = on_disk(Pendulums(3, NUM_STEPS), *maps)
    result = adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))
    assert_same(result, expected, maps[1])


def test_hdf5_dataset(tmp_path, expected):
    with h5py.File(tmp_path / "controls.h5", "w") as file:
        sets = [file.create_dataset(name, (NUM_STEPS,), float) for name in ("force", "gradient")]
        stepper = on_disk(Pendulums(3, NUM_STEPS), *sets)
        result = adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3))
        assert_same(result, expected, sets[1])
