"""Complex states, and transposes in an inner product of the user's own, are tested as they are."""

import numpy as np
import pytest

import adjoint
from adjoint import FunctionStepper
from adjoint.verification import dot_product_test, taylor_test

NUM_STEPS = 8
SIZE = 6


class Schroedinger(FunctionStepper):
    """``psi' = A psi + i h m |psi|^2 psi`` with complex controls: the first state, and ``m``.

    The adjoint is the conjugate-transposed derivative: ``dJ = Re(conj(adjoint) dpsi)``.
    """

    is_conjugated = True

    def __init__(self, dtype=np.complex128):
        rng = np.random.default_rng(3)
        noise = rng.standard_normal((2, SIZE, SIZE)) / 8
        self.matrix = (0.5 * np.eye(SIZE) + noise[0] + 1j * noise[1]).astype(dtype)
        first = (rng.standard_normal(SIZE) + 1j * rng.standard_normal(SIZE)).astype(dtype)
        m = (rng.standard_normal(SIZE) + 1j * rng.standard_normal(SIZE)).astype(dtype)
        super().__init__({"psi": np.zeros(SIZE, dtype)}, {"first": first, "m": m})

    def initial_state(self, out):
        out["psi"][:] = self.controls["first"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["first"] += adjoint["psi"]

    def step(self, step, state, out):
        psi = state["psi"]
        out["psi"][:] = self.matrix @ psi + 0.005j * self.controls["m"] * abs(psi) ** 2 * psi

    def step_vjp(self, step, state, adjoint, gradient):
        psi, w, m = state["psi"], adjoint["psi"], self.controls["m"]
        gradient["m"] += (0.005j * abs(psi) ** 2 * psi).conj() * w
        matrix = self.matrix.conj().T if self.is_conjugated else self.matrix.T
        # d(|psi|^2 psi) = 2 |psi|^2 dpsi + psi^2 conj(dpsi)
        factor = 0.005j * m
        nonlinear = (factor * 2 * abs(psi) ** 2).conj() * w + factor * psi**2 * w.conj()
        adjoint["psi"][:] = matrix @ w + nonlinear

    def terminal_cost(self, state):
        psi = state["psi"].astype(complex)
        return float(np.vdot(psi, psi).real) / 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["psi"] += state["psi"]


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_complex_states_and_controls(dtype):
    for seed in range(4):
        assert dot_product_test(Schroedinger(dtype), NUM_STEPS, seed=seed).passed
        with adjoint.Functional(Schroedinger(dtype), NUM_STEPS) as functional:
            assert taylor_test(functional, seed=seed).passed


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_a_transpose_that_is_not_conjugated_is_found(dtype):
    stepper = Schroedinger(dtype)
    stepper.is_conjugated = False
    result = dot_product_test(stepper, NUM_STEPS)
    assert [p.part for p in result.parts if p.verdict == "wrong"] == ["step in state"]


class Weighted(FunctionStepper):
    """``u' = u + B (m - u)``, transposed in the product ``a M b`` with a symmetric matrix M."""

    def __init__(self):
        rng = np.random.default_rng(2)
        self.B = rng.standard_normal((SIZE, SIZE)) / 5
        half = rng.standard_normal((SIZE, SIZE))
        self.M = half @ half.T + np.eye(SIZE)
        self.transposed = np.linalg.solve(self.M, self.B.T @ self.M)
        super().__init__({"u": rng.standard_normal(SIZE)}, {"m": rng.standard_normal(SIZE)})

    def step(self, step, state, out):
        out["u"][:] = state["u"] + self.B @ (self.controls["m"] - state["u"])

    def step_vjp(self, step, state, adjoint, gradient):
        back = self.transposed @ adjoint["u"]
        gradient["m"] += back
        adjoint["u"] -= back

    def terminal_cost(self, state):
        return 0.5 * float(state["u"] @ self.M @ state["u"])

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]

    def product(self, a, b):
        return float(sum(a[name] @ self.M @ b[name] for name in b))


def test_an_inner_product_of_ones_own():
    stepper = Weighted()
    assert dot_product_test(stepper, NUM_STEPS, inner_product=stepper.product).passed
    assert not dot_product_test(stepper, NUM_STEPS).passed
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        assert taylor_test(functional, inner_product=stepper.product).passed
        assert not taylor_test(functional).passed
