"""`dot_product_test` and `taylor_test` call no derivative of a stepper wrong, without a scale."""

import pytest
from stepper_by_hand import leaf_ends

import adjoint
from adjoint.steppers import Capabilities
from adjoint.verification import dot_product_test, taylor_test

NUM_LEAVES = 3


@pytest.mark.parametrize("seed", range(2))
def test_of_single_steps(case, stepper, seed):
    end = leaf_ends(stepper, case.num_steps)[NUM_LEAVES]
    result = dot_product_test(stepper, end, seed=seed)
    assert result.passed, result


def test_of_whole_runs(case, make):
    stepper = make()
    num_steps = None if Capabilities.of(stepper).finds_end else case.num_steps
    with adjoint.Functional(stepper, num_steps) as functional:
        result = taylor_test(functional)
    assert result.passed, result
