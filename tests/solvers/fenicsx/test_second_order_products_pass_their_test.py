"""Products of steps in UFL agree with differences of the gradient, at third order of the cost."""

import pytest

pytest.importorskip("dolfinx")

from form_problems import NUM_STEPS, PROBLEMS

import adjoint
from adjoint.verification import second_order_test


@pytest.mark.parametrize("name", PROBLEMS)
def test_hessian_products(name):
    with adjoint.Functional(PROBLEMS[name](), NUM_STEPS, memory="1 MB") as functional:
        result = second_order_test(functional)
        assert result.passed, str(result)
