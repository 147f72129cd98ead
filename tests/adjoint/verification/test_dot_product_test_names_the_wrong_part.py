"""`dot_product_test` says which function is wrong, with respect to what, and from which step on."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums
from planted_errors import PROBLEMS, Cell, Growth

import adjoint
from adjoint.verification import dot_product_test, taylor_test

NUM_STEPS = 9


class Driven(Growth):
    """Every hook of the stepper has a derivative in the state and in a control."""

    mistake = ("", "", 0)
    """A hook, what its derivative is wrong in, and the first step at which it is."""

    @classmethod
    def make(cls, dtype=np.float64, cells: int = 16):
        made = super().make(dtype, cells)
        made.controls["weight"] = np.array([1.5], dtype)
        made.accumulators["weight"] = np.zeros(1, dtype)
        return made

    def terminal_cost(self, state):
        return float(self.controls["weight"][0]) * float(np.sum(state["u"].astype(float) ** 3))

    def step_cost(self, step, state):
        return float(self.controls["weight"][0]) * super().step_cost(step, state)

    def wrong(self, hook, adjoint, gradient, added, step=0):
        """Add what `added` adds, a tenth too much where the mistake is."""
        before = {name: array.copy() for name, array in adjoint.items()}
        own = {name: np.zeros_like(array) for name, array in gradient.items()}
        added(adjoint, own)
        function, variable, first = self.mistake
        if function == hook and step >= first:
            if variable == "state":
                adjoint["u"] += 0.1 * (adjoint["u"] - before["u"])
            else:
                own[variable] *= 1.1
        for name, array in own.items():
            gradient[name] += array

    def initial_state_vjp(self, adjoint, gradient):
        self.wrong("initial state", adjoint, gradient, super().initial_state_vjp)

    def step_vjp(self, step, state, adjoint, gradient):
        def added(a, g):
            super(Driven, self).step_vjp(step, state, a, g)

        self.wrong("step", adjoint, gradient, added, step)

    def step_cost_vjp(self, step, state, adjoint, gradient):
        def added(a, g):
            a["u"] += self.controls["weight"] * self.h * state["u"]
            g["weight"] += self.h * state["u"] @ state["u"] / 2

        self.wrong("step cost", adjoint, gradient, added, step)

    def terminal_cost_vjp(self, state, adjoint, gradient):
        def added(a, g):
            a["u"] += 3 * self.controls["weight"] * state["u"] ** 2
            g["weight"] += np.sum(state["u"] ** 3)

        self.wrong("terminal cost", adjoint, gradient, added)


MISTAKES = [
    ("initial state", "start", 0),
    ("step", "state", 0),
    ("step", "rate", 0),
    ("step", "state", 6),
    ("step", "rate", NUM_STEPS - 1),
    ("step cost", "state", 0),
    ("step cost", "weight", 4),
    ("terminal cost", "state", 0),
    ("terminal cost", "weight", 0),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_the_mistake_is_named(mistake, dtype):
    stepper = Driven.make(dtype)
    stepper.mistake = mistake
    function, variable, first = mistake
    result = dot_product_test(stepper, NUM_STEPS)
    assert result.verdict == "wrong"
    part = f"{function} in {variable if variable == 'state' else f'control {variable!r}'}"
    assert [p.part for p in result.parts if p.verdict == "wrong"] == [part], result
    assert part in str(result)
    if function.startswith("step"):
        assert result.first_wrong_step == first
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        assert part in str(taylor_test(functional))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [*(p.make for p in PROBLEMS), Driven.make])
def test_a_right_stepper_passes(make, dtype):
    for seed in range(4):
        stepper = make(dtype)
        before = {name: control.copy() for name, control in stepper.controls.items()}
        result = dot_product_test(stepper, NUM_STEPS, seed=seed)
        assert result.passed, result
        for name, control in stepper.controls.items():
            assert np.array_equal(control, before[name])


@pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])
def test_replay_data_is_not_moved(kind):
    assert dot_product_test(kind(3, 12), 12).passed


class OneEntry(Cell):
    """One entry of 1,600 is left out."""

    def step_vjp(self, step, state, adjoint, gradient):
        kept = gradient["W"][3, 4]
        super().step_vjp(step, state, adjoint, gradient)
        gradient["W"][3, 4] = kept


def test_one_wrong_entry_of_many_is_found():
    result = dot_product_test(OneEntry.make(np.float64, size=40), 4)
    assert [p.part for p in result.parts if p.verdict == "wrong"] == ["step in control 'W'"]
