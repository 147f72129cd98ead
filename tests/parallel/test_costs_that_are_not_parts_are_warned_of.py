"""One warning where ranks return the same cost for different parts, or each runs without `comm`.

None where it is meant: in an ensemble, whose communicators are smaller than the world, or with
``comm=MPI.COMM_SELF``.
"""

import warnings

import numpy as np
import pytest

import adjoint
from adjoint.verification import dot_product_test, replay_test

RANKS = (2, 3)
NUM_STEPS = 9


class Growth(adjoint.FunctionStepper):
    """``u[k+1] = 1.1 u[k]``; the cost is the sum of squares at the end, of this rank or of all."""

    distributed = ("start",)

    def __init__(self, start, sum_over=None):
        super().__init__({"u": np.zeros(3)}, {"start": np.array(start, float)})
        self.sum_over = sum_over

    def initial_state(self, out):
        out["u"][:] = self.controls["start"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["start"] += adjoint["u"]

    def step(self, k, state, out):
        np.multiply(1.1, state["u"], out=out["u"])

    def step_vjp(self, k, state, adjoint, gradient):
        adjoint["u"] *= 1.1

    def terminal_cost(self, state):
        own = float(state["u"] @ state["u"])
        return own if self.sum_over is None else self.sum_over.allreduce(own)

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 2 * state["u"]


def part(comm):
    return np.array([1, 2, 3]) + comm.rank


def warned(call):
    """Return the messages of the warnings that a call gives on this rank, at lines of this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {warning.filename for warning in caught} <= {__file__}
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("call", ["value", "value_and_gradient"])
def test_a_cost_that_is_summed_already(comm, call):
    with adjoint.Functional(Growth(part(comm), comm), NUM_STEPS, comm=comm) as functional:
        said = warned(getattr(functional, call))
    assert len(said) == (1 if comm.rank == 0 else 0)
    assert all(f"all {comm.size} ranks returned the same cost" in each for each in said)


def test_where_warnings_are_errors_all_ranks_raise_it(comm):
    with pytest.raises(UserWarning, match="same cost"):
        adjoint.gradient(Growth(part(comm), comm), NUM_STEPS, comm=comm)


@pytest.mark.parametrize("start", ["parts", "equal", "zero"])
def test_right_costs(comm, start):
    values = {"parts": part(comm), "equal": [1, 2, 3], "zero": [0, 0, 0]}[start]
    assert warned(lambda: adjoint.gradient(Growth(values), NUM_STEPS, comm=comm)) == []


def test_an_ensemble(comm):
    pair = comm.Split(comm.rank // 2, comm.rank)
    half = type(comm)(pair)
    try:
        if pair.size < comm.size:
            stepper = Growth(part(comm), half)
            assert warned(lambda: adjoint.gradient(stepper, NUM_STEPS, comm=half)) == []
    finally:
        pair.Free()


def test_a_forgotten_communicator(comm):
    said = warned(lambda: adjoint.gradient(Growth(part(comm)), NUM_STEPS))
    assert len(said) == 1
    assert all(f"comm= is not given, but there are {comm.size} ranks" in each for each in said)


@pytest.mark.parametrize("test", [dot_product_test, replay_test])
def test_a_communicator_that_a_test_is_not_given(comm, test):
    assert len(warned(lambda: test(Growth(part(comm)), NUM_STEPS))) == 1
    assert warned(lambda: test(Growth(part(comm)), NUM_STEPS, comm=comm)) == []


def test_a_communicator_of_its_own(comm):
    own = comm.Split(comm.rank)
    try:
        stepper = Growth(part(comm))
        assert warned(lambda: adjoint.gradient(stepper, NUM_STEPS, comm=own)) == []
    finally:
        own.Free()
