"""Errors of pyrevolve 2.2.8, and the correct results of adjoint.

If a test here fails, a later version has corrected the error: then remove the test.
"""

import subprocess
import sys

import numpy as np
import pytest

from adjoint.schedules.revolve import beta, minimal_advances, repetitions

peer = pytest.importorskip("pyrevolve")


def counted_elsewhere(steps, slots, timeout=None):
    """Return the advances that the peer counts, in another interpreter."""
    program = f"import pyrevolve; print(pyrevolve.numforw({steps}, {slots}))"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
    return int(run.stdout)


# It multiplies beta(s, r) by r in 32 bits. Once the product overflows to 0 it continues until r
# overflows to 0 as well, after 2**32 iterations and some 14 s; then it divides by zero, which kills
# the interpreter.
@pytest.mark.parametrize(("steps", "slots"), [(65_535, 1), (15_329_616, 4)])
def test_its_count_overflows_and_hangs(steps, slots):
    with pytest.raises(subprocess.TimeoutExpired):
        counted_elsewhere(steps, slots, timeout=1)
    repeats = repetitions(steps, slots)
    assert repeats * beta(slots, repeats) > 2**31 - 1
    assert minimal_advances(steps, slots) < 2**31


def test_its_count_is_correct_for_one_step_less():
    assert counted_elsewhere(15_329_615, 4) == minimal_advances(15_329_615, 4)


def test_its_count_overflows_silently():
    assert counted_elsewhere(10**8, 20) == 1_607_849_335
    assert minimal_advances(10**8, 20) == 1_070_975_520


def test_its_count_is_negative_for_many_repetitions():
    assert counted_elsewhere(40_000, 1) == -1
    assert minimal_advances(40_000, 1) == 799_980_000


class Nothing(peer.Operator):
    def apply(self, **_times):
        pass


class Number(peer.Checkpoint):
    dtype = np.float64
    size = 1

    def __init__(self):
        self.value = np.zeros(1)

    def get_data(self, _step):
        return [self.value]

    get_data_location = get_data


def test_a_second_gradient_with_the_same_object_raises():
    revolver = peer.MemoryRevolver(Number(), Nothing(), Nothing(), 3, 10)
    revolver.apply_forward()
    revolver.apply_reverse()
    with pytest.raises(ValueError, match="TERMINATE"):
        revolver.apply_forward()


def test_data_pushed_on_a_full_stack_are_lost_silently():
    storage = peer.NumpyStorage(1, 1, np.float64, peer.Profiler())
    storage.push([np.array([1.0])])
    storage.push([np.array([2.0])])
    kept = np.zeros(1)
    storage.pop([kept])
    assert kept == 1.0
    assert storage.isEmpty()
