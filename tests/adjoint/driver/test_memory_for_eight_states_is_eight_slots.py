"""Slots are what fits in memory= beside a tape of a state less than its steps: no more is charged.

The steps taken are those that Revolve's closed form gives for so many slots; the memory reported is
that of the slots and tapes which `adjoint.replay` finds in use.
"""

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.driver.budgets import find_budget
from adjoint.driver.options import Options
from adjoint.driver.run import Run
from adjoint.errors import ArgumentError
from adjoint.parallel import communicator
from adjoint.schedules import Mixed, Revolve, StoreAll
from adjoint.schedules.revolve import minimal_advances
from adjoint.verification import bitwise_test

NUM_STEPS = 100
PENDULUMS = 8 * 8
STATE = 2 * PENDULUMS * 8 + 64  # two arrays of whole cache lines, and a counter


@pytest.mark.parametrize(("leaf", "slots"), [(1, 8), (2, 7), (4, 5)])
def test_of_eight_states(leaf, slots):
    stepper = Pendulums(PENDULUMS, NUM_STEPS)
    fits = Revolve(NUM_STEPS, slots, leaf_steps=leaf)
    result = adjoint.gradient(stepper, NUM_STEPS, memory=8 * STATE, schedule=fits)
    assert result.report.memory_bytes == 8 * STATE
    leaves = NUM_STEPS // leaf
    assert result.report.advanced_steps == leaf * minimal_advances(leaves, slots)
    more = Revolve(NUM_STEPS, slots + 1, leaf_steps=leaf)
    with pytest.raises(ArgumentError, match=str(9 * STATE)):
        adjoint.gradient(stepper, NUM_STEPS, memory=8 * STATE, schedule=more)


@pytest.mark.parametrize("leaf", [1, 3])
@pytest.mark.parametrize("slots", [9, 30])
def test_kept_tapes(leaf, slots):
    schedule = Mixed(NUM_STEPS, slots, leaf, leaf_steps=leaf)
    stepper = Pendulums(PENDULUMS, NUM_STEPS)
    report = adjoint.gradient(stepper, NUM_STEPS, schedule=schedule).report
    units = adjoint.replay.price(schedule, tape_slots=leaf).peak_units
    assert units * STATE <= report.memory_bytes <= (units + leaf - 1) * STATE


def test_one_state_is_enough():
    stepper = Pendulums(PENDULUMS, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, memory=STATE) as functional:
        assert functional.plan().schedule.num_slots == 1
        assert bitwise_test(functional).passed
    with pytest.raises(ArgumentError, match=f"take {STATE} bytes"):
        adjoint.gradient(stepper, NUM_STEPS, memory=STATE - 1)


def test_a_number_takes_a_cache_line():
    class Decay(adjoint.FunctionStepper):
        leaf_steps = 1

        def step(self, step, state, out):
            out["u"][...] = 0.9 * state["u"]

        def step_vjp(self, step, state, adjoint, gradient):
            adjoint["u"] *= 0.9

        def initial_state(self, out):
            out["u"] = self.controls["u0"]

        def initial_state_vjp(self, adjoint, gradient):
            gradient["u0"] += adjoint["u"]

        def terminal_cost(self, state):
            return float(state["u"])

        def terminal_cost_vjp(self, state, adjoint, gradient):
            adjoint["u"] += 1

    stepper = Decay({"u": np.array(2.0)}, {"u0": np.array(2.0)})
    result = adjoint.gradient(stepper, 50, memory=50 * 64, schedule=StoreAll(50))
    assert result.report.memory_bytes <= 50 * 64
    assert result.gradient["u0"] == pytest.approx(0.9**50)


def test_what_many_small_arrays_are_to_python_is_within_the_memory_too():
    comm = communicator(None)
    few, many = (
        find_budget(Run.of(Pendulums(1, n), n, Options.parse({"memory": m}, comm), comm)).slots[1]
        for n, m in ((10**6, 1 << 20), (10**6, 1 << 30))
    )
    assert few == (1 << 20) // (3 * 64)
    assert many * (3 * 64 + 1024) <= (1 << 30) + (16 << 20)
