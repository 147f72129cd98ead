"""`held_arrays` finds the arrays that an object holds, and nothing else."""

import h5py
import numpy as np
from driven_ring import DrivenRing

from adjoint.steppers import held_arrays


class Holder:
    shared = np.arange(3)

    def __init__(self, folder):
        self.plain = np.ones(2)
        self.scalar, self.number, self.text = np.float64(3), 4.0, "five"
        self.several = [np.zeros(1), "no array", np.ones(1)]
        self.pair = (np.zeros(2), 7)
        self.by_name = {"a": np.zeros(3), 2: np.ones(1), "c": None}
        self.mapped = np.memmap(folder / "map", np.float64, "w+", shape=(5,))
        self.file = h5py.File(folder / "data.h5", "w")
        self.file["rows"] = np.arange(6)
        self.dataset = self.file["rows"]
        self.kind = np.float64
        self.left_out = np.zeros(1)


def test_what_is_found(tmp_path):
    holder = Holder(tmp_path)
    found = held_arrays(holder, leave_out=["left_out"])
    lists = {"several[0]", "several[2]", "pair[0]", "by_name['a']", "by_name[2]"}
    assert set(found) == {"shared", "plain", "mapped", "dataset", *lists}
    assert found["plain"] is holder.plain
    holder.file.close()


def test_a_function_stepper_holds_its_initial_state_and_what_is_added():
    stepper = DrivenRing(np.ones(3), np.ones(3), np.zeros(3))
    stepper.later = (np.ones(1),)
    assert set(stepper.fingerprint()) == {"_initial['u']", "source", "later[0]"}
