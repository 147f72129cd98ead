"""The gradient by each control is right, for problems of every kind and controls of every kind."""

import pytest

pytest.importorskip("dolfinx")

from form_problems import NUM_STEPS, PROBLEMS

import adjoint
from adjoint.verification import dot_product_test, taylor_test


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_whole_runs(make):
    with adjoint.Functional(make(), NUM_STEPS, memory="40 kB") as functional:
        result = taylor_test(functional)
    assert result.passed, result
    assert result.order > 1.95, result


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_single_steps(make):
    result = dot_product_test(make(), 3)
    assert result.passed, result
