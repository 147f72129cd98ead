"""Tensors of PyTorch and arrays of JAX may be assigned, and added as NumPy arrays."""

import numpy as np
import pytest

import adjoint

NUM_STEPS = 8


class Thirds(adjoint.FunctionStepper):
    """``u' = u / 3 + m`` in another library, whose arrays `make` makes."""

    def __init__(self, make):
        self.make = make
        super().__init__({"u": np.ones(2)}, {"m": np.ones(2)})

    def step(self, k, state, out):
        out["u"] = self.make(np.array(state["u"])) / 3 + self.make(self.controls["m"])

    def step_vjp(self, k, state, adjoint, gradient):
        a = self.make(np.array(adjoint["u"]))
        gradient["m"] += np.asarray(a)
        adjoint["u"] = a / 3

    def terminal_cost(self, state):
        return self.make(np.array(state["u"])).sum()

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] = self.make(np.ones(2))


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_the_gradient_is_right(library):
    module = pytest.importorskip(library)
    result = adjoint.gradient(Thirds(module.asarray), NUM_STEPS)
    expected = sum(3.0**-k for k in range(NUM_STEPS))
    # JAX computes in single precision unless it is configured otherwise.
    np.testing.assert_allclose(result.gradient["m"], expected, rtol=1e-6)
    np.testing.assert_allclose(result.cost, 2 * (expected + 3.0**-NUM_STEPS), rtol=1e-6)
