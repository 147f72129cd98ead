"""A derivative that is wrong on one rank is found on all, with the same figures."""

import numpy as np
import pytest
from pendulums import SharedPendulums

import adjoint
from adjoint.verification import dot_product_test, taylor_test

NUM_STEPS = 10


class WrongOnOneRank(SharedPendulums):
    """The last rank's derivative is a thousandth off, in a control."""

    wrong = "stiffness"

    def finish(self):
        super().finish()
        if self._comm.rank == self._comm.size - 1:
            self.accumulators[self.wrong] *= 1.001


@pytest.mark.parametrize("wrong", ["stiffness", "angle", "force"])
def test_verdict_and_figures(comm, wrong):
    stepper = WrongOnOneRank(2, NUM_STEPS, comm)
    stepper.wrong = wrong
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional:
        found = taylor_test(functional)
    assert found.verdict == "wrong"
    assert [p.part for p in found.parts if p.verdict == "wrong"] == [f"control {wrong!r}"]
    steps = dot_product_test(stepper, NUM_STEPS, comm=comm)
    assert steps.verdict == "wrong"
    texts = comm.allgather((str(found), str(steps)))
    assert len(set(texts)) == 1


def test_controls_are_left_alone(comm):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    before = {name: control.copy() for name, control in stepper.controls.items()}
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional:
        assert taylor_test(functional).passed
    assert dot_product_test(stepper, NUM_STEPS, comm=comm).passed
    for name, control in stepper.controls.items():
        assert np.array_equal(control, before[name])
