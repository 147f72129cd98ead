"""The costs of leaves are measured in short sweeps, beside stored states, without the run's end.

A step sleeps, so its least time is known however busy the machine is.
"""

import time

import numpy as np
import pytest

from adjoint import FunctionStepper
from adjoint.measurement.probe import Probe
from adjoint.parallel import communicator
from adjoint.planning.candidates import interpolate_costs
from adjoint.schedules.costs import Costs
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


def probe_of(stepper, num_steps, slots):
    layout, pools = StateLayout.of(stepper.state), []

    def memory(count, leaf_steps):
        del leaf_steps
        pools.append(BlockPool(layout, count + 1))
        return AdoptingBuffers(stepper, pools[-1])

    return Probe(stepper, num_steps, slots, memory, communicator(None)), pools


def peak_blocks(pool):
    return pool.room.peak // pool.layout.memory_bytes


@pytest.fixture(scope="module")
def measured():
    stepper = Sleeping()
    probe, pools = probe_of(stepper, 10**6, {1: 6, 4: 3})
    return stepper, probe.stepper_costs(), pools


def test_steps_cost_what_they_take(measured):
    _, costs, _ = measured
    for found in costs.values():
        assert found.advance >= STEP
        assert found.pull_back >= REVERSE
        assert found.store == found.restore == found.turn == 0


def test_a_step_into_another_block_is_the_restart_overhead(measured):
    # Nearly every leaf is reached from a state in a slot.
    _, costs, _ = measured
    for found in costs.values():
        assert found.advance + found.restart_overhead >= STEP + COLD / 3


def test_a_leaf_of_several_steps_includes_taking_them(measured):
    _, costs, _ = measured
    assert costs[4].recording(4, reach_stop=False) >= 3 * STEP


def test_no_more_slots_are_used_than_fit(measured):
    _, _, pools = measured
    assert max(peak_blocks(pool) for pool in pools) <= 7
    assert min(peak_blocks(pool) for pool in pools) == 1


def test_the_stepper_is_left_at_its_start(measured):
    stepper, _, _ = measured
    assert stepper.ends == 0
    assert not stepper.accumulators["m"].any()
    assert (stepper.state["u"] == 1).all()


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7])
def test_no_step_beyond_the_last_is_taken(num_steps):
    stepper = Sleeping()
    probe, _ = probe_of(stepper, num_steps, {1: 4})
    assert set(probe.stepper_costs()) == {1}
    assert stepper.farthest <= num_steps


def test_costs_of_other_leaf_sizes_are_interpolated():
    costs = {1: Costs(record=0.0, driver_overhead=3.0), 4: Costs(record=2.0, driver_overhead=7.0)}
    assert interpolate_costs(2, costs) == Costs(record=1.0, driver_overhead=5.0)
    assert interpolate_costs(1, costs) is costs[1]
    assert interpolate_costs(100, costs) is costs[4]
    assert interpolate_costs(2, {4: costs[4]}) is costs[4]
