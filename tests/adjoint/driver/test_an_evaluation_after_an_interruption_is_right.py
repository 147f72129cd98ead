"""After Ctrl-C in a function of a stepper, the next evaluation is right, and so are products."""

import numpy as np
import pytest
from driven_ring import DrivenRing, by_hand

import adjoint
from adjoint.schedules import Asynchronous, Mixed, Revolve, StoreAll

NUM_STEPS = 20
START, M = np.linspace(0.2, 1, 6), np.linspace(0.5, 1.5, 6)

SCHEDULES = {
    "planned": None,
    "all": StoreAll(NUM_STEPS),
    "some": Revolve(NUM_STEPS, 3, leaf_steps=2),
    "tapes": Mixed(NUM_STEPS, 12, 2, leaf_steps=2),
    "file": Asynchronous(NUM_STEPS, 3, 4),
}


class Assigning(DrivenRing):
    """Assigns what it computes; is interrupted once, after that."""

    interrupt = None

    def step(self, step, state, out):
        new = {"u": np.empty(6)}
        super().step(step, state, new)
        out["u"] = new["u"]
        self.interrupted("step", step)

    def step_vjp(self, step, state, adjoint, gradient):
        own = {"m": np.zeros(6)}
        super().step_vjp(step, state, adjoint, own)
        gradient["m"] = gradient["m"] + own["m"]
        self.interrupted("step_vjp", step)

    def interrupted(self, function, step):
        if self.interrupt == (function, step):
            self.interrupt = None
            raise KeyboardInterrupt


@pytest.mark.parametrize("function", ["step", "step_vjp"])
@pytest.mark.parametrize("step", [0, 7, NUM_STEPS - 2])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_next_one(name, step, function, tmp_path):
    stepper = Assigning(START, M, 0.01)
    options = {} if name == "planned" else {"schedule": SCHEDULES[name]}
    if name == "file":
        options["file"] = tmp_path
    cost, gradient = by_hand(START, M, 0.01, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        for _ in range(2):
            stepper.interrupt = function, step
            with pytest.raises(KeyboardInterrupt):
                functional.value_and_gradient()
            found, by_adjoint = functional.value_and_gradient()
            assert found == pytest.approx(cost, rel=1e-13)
            np.testing.assert_allclose(by_adjoint["m"], gradient, rtol=1e-12)


class Analytic(DrivenRing):
    """Is interrupted once, in so many calls of a function from now."""

    calls = 0

    def count(self):
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("calls", [1, 2, 3, 30, 61, 62, 63, 100])
@pytest.mark.parametrize("name", ["planned", "some", "file"])
def test_products(name, calls, tmp_path):
    options = {} if name == "planned" else {"schedule": SCHEDULES[name]}
    if name == "file":
        options["file"] = tmp_path / "run.h5"
    towards = {"m": np.linspace(-1, 1, 18).reshape(3, 6)}
    stepper = Analytic(START, M, 0.01)
    with adjoint.Functional(DrivenRing(START, M, 0.01), NUM_STEPS) as functional:
        gradient = functional.value_and_gradient()[1]["m"]
        products = functional.second_order(towards).products["m"]
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        for _ in range(2):
            stepper.calls = calls
            with pytest.raises(KeyboardInterrupt):
                functional.second_order(towards, block=2)
            assert np.array_equal(stepper.controls["m"], M)
            assert np.array_equal(functional.value_and_gradient()[1]["m"], gradient)
            found = functional.second_order(towards, block=2)
            assert np.array_equal(found.products["m"], products)
