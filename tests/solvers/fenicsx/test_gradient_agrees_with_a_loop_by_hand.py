"""The gradient is that of plain DOLFINx loops with an adjoint written by hand, to round-off."""

import pytest

pytest.importorskip("dolfinx")

from diffusion_forms import ByHand, Diffusion
from numpy.testing import assert_allclose

import adjoint

NUM_STEPS = 25


@pytest.mark.parametrize(("kind", "order"), [("linear", 1), ("linear", 2), ("nonlinear", 2)])
@pytest.mark.parametrize("memory", ["1 MB", "8 kB"])
def test_gradient(kind, order, memory):
    problem = Diffusion(kind, 6, NUM_STEPS, degree=5, order=order)
    by_hand = ByHand(problem)
    cost, expected = by_hand.forward(), by_hand.reverse()
    found = adjoint.gradient(problem.stepper(), NUM_STEPS, memory=memory)
    assert_allclose(found.cost, cost, rtol=1e-13)
    for name, gradient in found.gradient.items():
        assert_allclose(gradient, expected[name], rtol=0, atol=2e-13 * abs(expected[name]).max())
