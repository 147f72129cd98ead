"""Code that loses imaginary parts, and second derivatives that are missing, are found at once."""

import numpy as np
import pytest
from seven_cells import NUM_STEPS, AnalyticCells, Cells, H, directions, second_difference

import adjoint
from adjoint.errors import StepperError


def refusal(stepper, **options):
    with adjoint.Functional(stepper, NUM_STEPS, memory="1 kB") as functional:
        with pytest.raises(StepperError) as refused:
            functional.second_order(directions(1), **options)
        functional.value_and_gradient()  # and all is in order afterwards
    return str(refused.value)


class WithAbs(AnalyticCells):
    def step(self, step, state, out):
        super().step(step, state, out)
        out["u"] += H * np.abs(state["u"]) ** 2

    def step_vjp(self, step, state, adjoint, gradient):
        w = adjoint["u"].copy()
        super().step_vjp(step, state, adjoint, gradient)
        adjoint["u"] += 2 * H * state["u"] * w


class WithRealFourier(AnalyticCells):
    def step(self, step, state, out):
        super().step(step, state, out)
        out["u"] += H * np.fft.ifft(np.fft.fft(state["u"])).real

    def step_vjp(self, step, state, adjoint, gradient):
        w = adjoint["u"].copy()
        super().step_vjp(step, state, adjoint, gradient)
        adjoint["u"] += H * w


class WithVdot(AnalyticCells):
    def step(self, step, state, out):
        super().step(step, state, out)
        out["u"] += H * np.vdot(state["u"], state["u"])

    def step_vjp(self, step, state, adjoint, gradient):
        w = adjoint["u"].sum()
        super().step_vjp(step, state, adjoint, gradient)
        adjoint["u"] += 2 * H * state["u"] * w


class WithCopyOfControls(AnalyticCells):
    """In the step alone, or in its derivative alone."""

    def __init__(self, place):
        super().__init__()
        self.a, self.place = self.controls["a"], place

    def step(self, step, state, out):
        super().step(step, state, out)
        if self.place == "step":
            out["u"] += H * (self.a - self.controls["a"]) * second_difference(state["u"])

    def step_vjp(self, step, state, adjoint, gradient):
        w = adjoint["u"].copy()
        super().step_vjp(step, state, adjoint, gradient)
        if self.place == "step_vjp":
            adjoint["u"] += H * second_difference((self.a - self.controls["a"]) * w)


class WithRealDerivative(AnalyticCells):
    """Everything that could bend is discarded, in the derivative alone."""

    def step_vjp(self, step, state, adjoint, gradient):
        u, a, f = state["u"].real, self.controls["a"].real, self.controls["f"][step].real
        w = adjoint["u"]
        gradient["a"] += H * (second_difference(u) + u * f) * w
        gradient["f"][step] += H * ((a * u + np.cos(f)) * w).sum(axis=-1, keepdims=True)
        adjoint["u"][:] = w + H * (second_difference(a * w) - 3 * u**2 * w + a * f * w)


class WithRealTerminalCost(AnalyticCells):
    def terminal_cost_vjp(self, state, adjoint, gradient):
        u, a = state["u"].real, self.controls["a"]
        adjoint["u"] += a**2 * np.exp(u) * ((u - 1) + (u - 1) ** 2 / 2)
        gradient["a"] += a * (u - 1) ** 2 * np.exp(u)


class WithRealInitialState(AnalyticCells):
    def initial_state(self, out):
        b = self.controls["b"].real
        out["u"][:] = np.sin(b) + b**2 / 4


@pytest.mark.parametrize(
    ("stepper", "named"),
    [
        (WithAbs, "step_vjp() of step 8 is not the transpose of step()"),
        (WithRealFourier, "step_vjp() of step 8 is not the transpose of step()"),
        (WithVdot, "step_vjp() of step 8 is not the transpose of step()"),
        (lambda: WithCopyOfControls("step"), "step_vjp() of step 8 is not the transpose of step()"),
        (lambda: WithCopyOfControls("step_vjp"), "by step_vjp() of step 8 are not symmetric"),
        (WithRealDerivative, "complex step finds no second derivative"),
        (WithRealTerminalCost, "by terminal_cost_vjp() are not symmetric"),
        (WithRealInitialState, "initial_state_vjp() is not the transpose of initial_state()"),
    ],
)
def test_discarded_imaginary_parts(stepper, named):
    assert named in refusal(stepper())


class WithoutCurvature(Cells):
    step_curvature = None


class WithoutInitialCurvature(Cells):
    initial_state_curvature = None


class WithWrongJvp(Cells):
    def step_jvp(self, step, state, tangent, control_tangent, out):
        super().step_jvp(step, state, tangent, control_tangent, out)
        out["u"] += 1e-6 * tangent["u"]


class WithWrongCurvature(Cells):
    def step_curvature(self, step, state, adjoint, tangent, control_tangent, out, gradient):
        super().step_curvature(step, state, adjoint, tangent, control_tangent, out, gradient)
        gradient["a"] += 1e-6 * tangent["u"] * adjoint["u"]


@pytest.mark.parametrize(
    ("stepper", "named"),
    [
        (WithoutCurvature, "there is no step_curvature()"),
        (WithoutInitialCurvature, "there is no initial_state_curvature()"),
        (WithWrongJvp, "step_vjp() of step 8 is not the transpose of step_jvp()"),
        (WithWrongCurvature, "by step_curvature() of step 8 are not symmetric"),
    ],
)
def test_wrong_functions_by_hand(stepper, named):
    assert named in refusal(stepper())


class WithMaximum(AnalyticCells):
    """Not smooth, but right where it is."""

    def step(self, step, state, out):
        super().step(step, state, out)
        u = state["u"]
        out["u"] += H * (np.maximum(u, 0) ** 2 + np.where(u > 0, u, 0) + np.clip(u, -9, 9))

    def step_vjp(self, step, state, adjoint, gradient):
        w, u = adjoint["u"].copy(), state["u"]
        super().step_vjp(step, state, adjoint, gradient)
        adjoint["u"] += H * (2 * np.maximum(u, 0) + (u > 0) + 1) * w


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("stepper", [Cells, AnalyticCells, WithMaximum])
def test_right_derivatives_pass(stepper, gauss_newton):
    with adjoint.Functional(stepper(), NUM_STEPS, memory="1 kB") as functional:
        functional.second_order(directions(2), gauss_newton=gauss_newton)
