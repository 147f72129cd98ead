"""Hashes of controls and data change with them, in little time also where they are large."""

import os

import h5py
import numpy as np
import pytest
from driven_ring import DrivenRing

from adjoint.driver import fingerprints
from adjoint.driver.fingerprints import Fingerprints, differing
from adjoint.steppers import Capabilities


def made(source):
    """Return a stepper with its fingerprints."""
    stepper = DrivenRing(np.ones(4), np.ones(4), source)
    stepper.start()
    return stepper, Fingerprints(Capabilities.of(stepper))


def changed(source, change):
    """Return the names of what differs after a change to the stepper."""
    stepper, taken = made(source)
    before = taken.take("")
    assert differing(before, taken.take("")) == []
    change(stepper)
    return differing(before, taken.take(""))


def test_values_shapes_and_dtypes_count():
    def set_one(stepper):
        stepper.source[3] = 7

    def reshape(stepper):
        stepper.source = stepper.source.reshape(2, 2)

    def recast(stepper):
        stepper.source = stepper.source.view(np.int64)

    assert changed(np.zeros(4), set_one) == ["source"]
    assert changed(np.zeros(4), reshape) == ["source"]
    assert changed(np.zeros(4), recast) == ["source"]
    assert changed(np.zeros(4), lambda stepper: delattr(stepper, "source")) == ["source"]


def test_a_transposed_array_counts_as_it_reads():
    array = np.arange(6.0).reshape(2, 3)
    assert fingerprints._hash(array.T) == fingerprints._hash(np.ascontiguousarray(array.T))


def test_of_a_long_array_a_sample_is_hashed(monkeypatch):
    monkeypatch.setattr(fingerprints, "WHOLE_BYTES", 1 << 20)
    size = 1 << 19

    def set_all(stepper):
        stepper.source[...] = 1.0

    def set_last(stepper):
        stepper.source[-1] = 1.0

    assert changed(np.zeros(size), set_all) == ["source"]
    assert changed(np.zeros((size // 8, 8)), lambda s: s.source.fill(1.0)) == ["source"]
    assert changed(np.zeros(size), set_last) == ["source"]
    read = sum(piece.nbytes for piece in fingerprints._sample(np.zeros(size)))
    assert read == fingerprints.SAMPLE_BYTES


def test_a_memory_map_counts_by_its_file_too(tmp_path):
    def touch(stepper):
        del stepper
        os.utime(tmp_path / "map", ns=(1, 1))

    mapped = np.memmap(tmp_path / "map", np.float64, "w+", shape=(100,))
    assert changed(mapped, touch) == ["source"]


def test_a_dataset_is_compared(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["rows"] = np.zeros((300, 70))

        def set_one(stepper):
            stepper.source[299, 69] = 1.0

        assert changed(file["rows"], set_one) == ["source"]
        file["many"] = np.zeros((700, 30, 70))
        assert sum(piece.nbytes for piece in fingerprints._sample(file["many"])) <= 1 << 20

        def set_last(stepper):
            stepper.source[-1] = 1.0

        assert changed(file["many"], set_last) == ["source"]


def test_arrays_that_steps_change_do_not_count():
    stepper, taken = made(np.zeros(4))
    stepper.work = np.zeros(4)
    with taken.watching():
        stepper.work[...] = 3.0
    before = taken.take("")
    stepper.work[...] = 4.0
    assert differing(before, taken.take("")) == []
    stepper.source[...] = 1.0
    assert differing(before, taken.take("")) == ["source"]
    with taken.watching():
        stepper.source[...] = 2.0
    assert differing(before, taken.take("")) == ["source"]


@pytest.mark.parametrize("number", [3, 300])
def test_many_arrays_fit_in_the_journal(number):
    stepper, taken = made(np.zeros(4))
    stepper.parts = [np.zeros(2) for _ in range(number)]
    before = taken.take("")
    assert len(str(before)) < 2000
    stepper.parts[-1][0] = 1
    assert len(differing(before, taken.take(""))) == 1
