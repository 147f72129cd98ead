"""The costs of leaves are measured in short sweeps, beside stored states, without the run's end.

A step sleeps, so its least time is known however busy the machine is.
"""

import time

import numpy as np
import pytest

from adjoint import FunctionStepper
from adjoint.measurement.probe import Probe
from adjoint.parallel import communicator
from adjoint.planning.case import Case
from adjoint.storage.blocks import BlockPool
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.buffers import AdoptingBuffers

STEP, REVERSE, COLD = 0.001, 0.002, 0.02


class Sleeping(FunctionStepper):
    """Sleeps in each step, and longer where an advance ends in another block."""

    def __init__(self):
        super().__init__({"u": np.ones(10)}, {"m": np.zeros(3)})
        self.farthest = 0
        self.ends = 0

    def advance(self, start, stop, *, cost=None, out=None):
        if out is not None:
            time.sleep(COLD)
        return super().advance(start, stop, cost=cost, out=out)

    def step(self, step, state, out):
        time.sleep(STEP)
        self.farthest = max(self.farthest, step + 1)
        out["u"][:] = state["u"]

    def step_vjp(self, step, state, adjoint, gradient):
        time.sleep(REVERSE)
        gradient["m"] += 1

    def turn(self, cost):
        self.ends += 1
        return super().turn(cost)

    def finish(self):
        self.ends += 1
        super().finish()


def probe_of(stepper, num_steps):
    layout, pools = StateLayout.of(stepper.state), []

    def memory(count, leaf_steps):
        del leaf_steps
        pools.append(BlockPool(layout, count + 1))
        return AdoptingBuffers(stepper, pools[-1])

    return Probe(stepper, num_steps, 1, memory, communicator(None)), pools


def peak_blocks(pool):
    return pool.room.peak // pool.layout.memory_bytes


@pytest.fixture(scope="module")
def measured():
    stepper = Sleeping()
    probe, pools = probe_of(stepper, 10**6)
    rough = probe.costs()
    cases = [Case(60, leaf, slots, 0, leaf, rough) for leaf, slots in ((4, 3), (1, 6))]
    return stepper, rough, probe.costs_in_sweeps(cases, 1.0), pools


def test_steps_cost_what_they_take(measured):
    _, rough, (_, in_sweeps), _ = measured
    for found in (rough, in_sweeps):
        assert found.advance >= STEP
        assert found.pull_back >= REVERSE
        assert found.unreached == 0
        assert found.store == found.restore == found.turn == 0


def test_a_step_into_another_block_is_the_restart_overhead(measured):
    # Nearly every leaf is reached from a state in a slot.
    _, _, (_, found), _ = measured
    assert found.advance + found.restart_overhead >= STEP + COLD / 3


def test_the_leaf_that_is_set_out_to_less_often_is_the_fastest(measured):
    _, _, (leaf, _), _ = measured
    assert leaf == 4


def test_no_more_slots_are_used_than_fit(measured):
    *_, pools = measured
    assert max(peak_blocks(pool) for pool in pools) <= 7
    assert min(peak_blocks(pool) for pool in pools) == 1


def test_the_stepper_is_left_at_its_start(measured):
    stepper, *_ = measured
    assert stepper.ends == 0
    assert not stepper.accumulators["m"].any()
    assert (stepper.state["u"] == 1).all()


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
def test_no_step_beyond_the_last_is_taken(num_steps):
    stepper = Sleeping()
    probe, _ = probe_of(stepper, num_steps)
    probe.costs()
    assert stepper.farthest <= num_steps


class Taped(Sleeping):
    """Takes every step that it records."""

    def record(self, start, stop, *, cost=None, reach_stop):
        return super().record(start, stop, cost=cost, reach_stop=True)


@pytest.mark.parametrize("announced", [None, True])
def test_a_last_step_that_is_taken_in_any_case_costs_a_step(announced):
    stepper = Taped()
    stepper.needs_last_state = announced
    found = probe_of(stepper, 1000)[0].costs()
    assert found.unreached == found.advance


def test_of_a_few_long_steps_only_one_is_timed():
    class Slow(Sleeping):
        def step(self, step, state, out):
            time.sleep(0.05)
            super().step(step, state, out)

    stepper = Slow()
    found = probe_of(stepper, 10)[0].costs()
    assert stepper.farthest == 1
    assert found.pull_back == 2 * found.advance
