"""Where pyrevolve 2.2.8 is wrong: each is shown, and ours is right.

Where a test here fails, a later version has it right: then the claim is to go.
"""

import subprocess
import sys

import numpy as np
import pytest

from adjoint.schedules.revolve import beta, minimal_advances, repetitions

peer = pytest.importorskip("pyrevolve")


def counted_elsewhere(steps, slots, timeout=None):
    """Return what another interpreter prints, where the peer counts the advances."""
    program = f"import pyrevolve; print(pyrevolve.numforw({steps}, {slots}))"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
    return int(run.stdout)


# It multiplies the length that so many repetitions reach by their number, in 32 bits. Having come
# to 0 it goes on until the number of repetitions has come to 0 too, after 2**32 rounds and some
# 14 s. Then it divides by zero, which kills the interpreter.
@pytest.mark.parametrize(("steps", "slots"), [(65_535, 1), (15_329_616, 4)])
def test_its_count_overflows_and_never_returns(steps, slots):
    with pytest.raises(subprocess.TimeoutExpired):
        counted_elsewhere(steps, slots, timeout=1)
    repeats = repetitions(steps, slots)
    assert repeats * beta(slots, repeats) > 2**31 - 1
    assert minimal_advances(steps, slots) < 2**31


def test_a_step_less_it_is_right():
    assert counted_elsewhere(15_329_615, 4) == minimal_advances(15_329_615, 4)


def test_its_count_overflows_in_silence():
    assert counted_elsewhere(10**8, 20) == 1_607_849_335
    assert minimal_advances(10**8, 20) == 1_070_975_520


def test_its_count_is_negative_where_a_step_is_advanced_too_often_for_it():
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


def test_what_is_pushed_on_a_full_stack_is_lost_in_silence():
    storage = peer.NumpyStorage(1, 1, np.float64, peer.Profiler())
    storage.push([np.array([1.0])])
    storage.push([np.array([2.0])])
    kept = np.zeros(1)
    storage.pop([kept])
    assert kept == 1.0
    assert storage.isEmpty()
