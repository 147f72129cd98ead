"""Restored states give the same bits in any order: no method remembers the previous step."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_oscillator import Oscillator

import adjoint
from adjoint.schedules import Mixed, Multistage, Revolve, StoreAll
from adjoint.verification import replay_test, taylor_test

NUM_STEPS = 17
METHODS = ["rk 3bs", "rk 5dp", "rk 6vr", "rk 4", "cn", "beuler", "theta", "theta endpoint"]
TAPE_SLOTS = 17  # of 4 steps of 6vr, whose tape is the largest, in vectors of whole cache lines
SCHEDULES = [
    Revolve(NUM_STEPS, 1),
    Revolve(NUM_STEPS, 4),
    Revolve(NUM_STEPS, 3, leaf_steps=3),
    StoreAll(NUM_STEPS, leaf_steps=5),
    StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS),
    Mixed(NUM_STEPS, 2 * TAPE_SLOTS, TAPE_SLOTS, leaf_steps=4),
    Multistage(NUM_STEPS, 1, 3),
]


def stepper(method: str):
    with_parameters = method not in ("rk 5dp", "rk 6vr") or PETSc.Sys.getVersion() >= (3, 22)
    kind, endpoint, _ = method.partition(" endpoint")
    options = {"ts_theta_theta": 0.7, "ts_theta_endpoint": True} if endpoint else {}
    problem = Oscillator(kind, quadrature=True, options=options)
    return problem.stepper(step_cost=True, parameters=with_parameters)


@pytest.mark.parametrize("method", METHODS)
def test_bits_of_two_gradients_in_a_row(method, tmp_path):
    expected = adjoint.gradient(stepper(method), NUM_STEPS, schedule=StoreAll(NUM_STEPS))
    for schedule in SCHEDULES:
        file = {"file": tmp_path / "run.h5"} if isinstance(schedule, Multistage) else {}
        functional = adjoint.Functional(stepper(method), NUM_STEPS, schedule=schedule, **file)
        with functional:
            for cost, gradient in (functional.value_and_gradient() for _ in range(2)):
                assert cost == expected.cost, schedule
                for name, array in expected.gradient.items():
                    assert gradient[name].tobytes() == array.tobytes(), (schedule, name)


@pytest.mark.parametrize("method", METHODS)
def test_replay_and_taylor(method):
    tested = stepper(method)
    assert replay_test(tested, NUM_STEPS).passed
    with adjoint.Functional(tested, NUM_STEPS, schedule=Revolve(NUM_STEPS, 3)) as functional:
        assert taylor_test(functional).passed


def test_a_slope_is_reused_only_if_that_changes_no_bit(rng):
    """What 3bs carries over must be what it would compute: see `solvers.petsc.ts.steps`."""
    values = rng.standard_normal(1003)
    ends = []
    for restarted in (False, True):
        ts, u = PETSc.TS().create(PETSc.COMM_SELF), PETSc.Vec().createSeq(values.size)
        u.setArray(values)
        ts.setType("rk")
        ts.setRHSFunction(lambda ts, t, u, f: f.setArray(np.cos(u.array_r + t)), u.duplicate())
        ts.setTimeStep(0.01)
        ts.setMaxSteps(100)
        ts.setSolution(u)
        for _ in range(20):
            if restarted:
                ts.restartStep()
            ts.setTimeStep(0.01)
            ts.step()
        ends.append(u.array.tobytes())
    assert ends[0] == ends[1]
