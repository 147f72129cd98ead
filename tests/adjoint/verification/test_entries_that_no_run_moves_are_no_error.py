"""A state with ghost cells, copies or constants: a right adjoint is called right, a wrong one not.

Such an adjoint is the transpose only for changes of the state that runs can undergo.
"""

import numpy as np
import pytest
from basins import basin
from planted_errors import Diffusion, Growth

import adjoint
from adjoint import FunctionStepper
from adjoint.verification import dot_product_test, taylor_test

NUM_STEPS = 4
SIDES = ("west", "east", "south", "north")
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def wrong_parts(result):
    return [part.part for part in result.parts if part.verdict == "wrong"]


@DTYPES
@pytest.mark.parametrize("open_sides", [(), ("west", "north"), SIDES])
def test_shallow_water_is_right(open_sides, dtype):
    for seed in range(6):
        stepper = basin(open_sides=open_sides, dtype=dtype)
        result = dot_product_test(stepper, NUM_STEPS, seed=seed)
        assert not wrong_parts(result), result
        # In single precision a step shows little of what friction changes.
        assert result.passed or dtype is np.float32, result
        with adjoint.Functional(stepper, NUM_STEPS) as functional:
            result = taylor_test(functional, seed=seed)
        assert not wrong_parts(result), result
        assert result.parts[-1].part == "initial state"
        assert result.parts[-1].verdict == "right", result


@pytest.mark.parametrize("name", ["eta", "qx", "qy"])
@pytest.mark.parametrize("first", [0, 2])
def test_one_wrong_entry_of_a_wet_cell_is_found(name, first):
    stepper = basin()
    right = stepper.pull_back

    def pull_back(start, stop):
        right(start, stop)
        if start >= first:
            stepper.adjoint[name][5, 5] *= 1.1

    stepper.pull_back = pull_back
    result = dot_product_test(stepper, NUM_STEPS)
    assert wrong_parts(result)[0] == "step in state", result
    assert result.first_wrong_step == first


class Ghosted(Growth):
    """The first cell is a copy of the last, and adjoints of both are added up in the last."""

    mistake = -1

    def initial_state(self, out):
        super().initial_state(out)
        out["u"][0] = out["u"][-1]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["start"] += self.folded(adjoint["u"])

    @staticmethod
    def folded(array):
        folded = array.copy()
        folded[-1] += folded[0]
        folded[0] = 0
        return folded

    def step(self, step, state, out):
        super().step(step, state, out)
        out["u"][0] = out["u"][-1]

    def step_vjp(self, step, state, adjoint, gradient):
        adjoint["u"][:] = self.folded(adjoint["u"])
        super().step_vjp(step, state, adjoint, gradient)
        adjoint["u"][:] = self.folded(adjoint["u"])
        adjoint["u"][self.mistake] *= 1.1 if self.mistake > 0 else 1


@DTYPES
def test_copies_are_right_and_a_wrong_entry_beside_them_is_found(dtype):
    stepper = Ghosted.make(dtype)
    for seed in range(10):
        assert dot_product_test(stepper, NUM_STEPS, seed=seed).passed
        with adjoint.Functional(stepper, NUM_STEPS) as functional:
            assert taylor_test(functional, seed=seed).passed
    stepper.mistake = 49
    assert wrong_parts(dot_product_test(stepper, NUM_STEPS)) == ["step in state"]


class WrongEntry(Diffusion):
    """One entry of the transpose of the first step is wrong; no control moves the first state."""

    def step_vjp(self, step, state, adjoint, gradient):
        super().step_vjp(step, state, adjoint, gradient)
        if step == 0:
            adjoint["u"][17] *= 1.1


@DTYPES
def test_a_wrong_entry_for_a_fixed_initial_state_is_found(dtype):
    result = dot_product_test(WrongEntry.make(dtype), NUM_STEPS)
    assert wrong_parts(result) == ["step in state"]
    assert result.first_wrong_step == 0


class TwoLevels(FunctionStepper):
    """``u' = 2 u - v + h m u``, ``v' = u``: leapfrog, whose first step does not read ``v``."""

    forgets = False

    def __init__(self):
        rng = np.random.default_rng(4)
        state = {"u": rng.standard_normal(8), "v": np.zeros(8)}
        super().__init__(state, {"m": rng.standard_normal(8)})

    def step(self, step, state, out):
        u, v = state["u"], state["v"] if step else state["u"]
        out["u"][:], out["v"][:] = 2 * u - v + 0.1 * self.controls["m"] * u, u

    def step_vjp(self, step, state, adjoint, gradient):
        back, old = adjoint["u"].copy(), adjoint["v"].copy()
        gradient["m"] += 0.1 * state["u"] * back
        adjoint["u"][:] = (2 + 0.1 * self.controls["m"]) * back
        adjoint["v"][:] = -back if step else 0
        if step:
            adjoint["u"] += old
        else:
            adjoint["u"] -= back
            adjoint["u"] += 0 if self.forgets else old

    def terminal_cost(self, state):
        return float(state["u"] @ state["u"]) / 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]


def test_what_the_first_step_does_not_read_is_tested_in_what_it_writes():
    stepper = TwoLevels()
    assert dot_product_test(stepper, NUM_STEPS).passed
    stepper.forgets = True
    result = dot_product_test(stepper, NUM_STEPS)
    assert result.first_wrong_step == 0


class Fed(FunctionStepper):
    """``u' = u + f``, ``f' = 0``: what is fed to the first step moves only if it is a control."""

    def __init__(self, **controls):
        super().__init__({"u": np.ones(3), "f": np.ones(2)}, {"m": np.ones(1), **controls})

    def initial_state(self, out):
        out["f"][:] = self.controls.get("f", out["f"])

    def initial_state_vjp(self, adjoint, gradient):
        if "f" in gradient:
            gradient["f"] += adjoint["f"]

    def step(self, step, state, out):
        out["u"][:] = self.controls["m"] * state["u"] + state["f"].sum()
        out["f"][:] = 0

    def step_vjp(self, step, state, adjoint, gradient):
        gradient["m"] += adjoint["u"] @ state["u"]
        adjoint["f"][:] = 0  # wrong, or a ghost cell
        adjoint["u"] *= self.controls["m"]


def test_entries_that_nothing_moves_are_said_to_be_untested():
    result = dot_product_test(Fed(), NUM_STEPS)
    assert result.passed
    assert "not tested: 2 of 2 entries of 'f' in the initial state" in str(result)
    result = dot_product_test(Fed(f=np.ones(2)), NUM_STEPS)
    assert wrong_parts(result) == ["step in state"]
    assert "not tested" not in str(result)
