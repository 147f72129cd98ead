"""A step that leaves entries of its result unwritten is refused, whatever the schedule."""

import numpy as np
import pytest

import adjoint
from adjoint.schedules import Revolve, StoreAll

NUM_STEPS = 6


class Decay(adjoint.FunctionStepper):
    """``u[k+1] = 0.9 u[k]``, written in one of several ways."""

    def __init__(self, way, dtype=np.float64):
        super().__init__({"u": np.ones(5, dtype)}, {"m": np.ones(1, dtype)})
        self.way = way

    def step(self, k, state, out):
        new = 0.9 * state["u"]
        if self.way == "another dict":
            out = {"u": new}
        elif self.way == "another array":
            u = out["u"]
            u = new  # noqa: F841
        elif self.way == "all but one":
            out["u"][1:] = new[1:]
        elif self.way == "added":
            out["u"] += new
        elif self.way == "two functions":
            out["u"][:2] = new[:2]
            out["u"][2:] = new[2:]
        else:
            out["u"] = np.full(5, np.nan, new.dtype) if self.way == "nan" else new

    def step_vjp(self, k, state, adjoint, gradient):
        adjoint["u"] *= 0.9

    def terminal_cost(self, state):
        return float(state["u"].sum().real)

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 1


SCHEDULES = {
    "planned": None,
    "few slots": Revolve(NUM_STEPS, 2),
    "one leaf": StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS),
    "leaves of 2": StoreAll(NUM_STEPS, leaf_steps=2),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.complex128])
@pytest.mark.parametrize(
    ("way", "count"), [("another dict", 5), ("another array", 5), ("all but one", 1), ("added", 5)]
)
def test_what_is_left_is_counted(way, count, dtype, schedule):
    message = rf"step\(\) left {count} of 5 entries of 'u' unwritten"
    stepper = Decay(way, dtype)
    for _ in range(2):
        with pytest.raises(adjoint.StepperError, match=message):
            adjoint.gradient(stepper, NUM_STEPS, schedule=SCHEDULES[schedule])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("way", ["at once", "two functions"])
def test_a_step_that_writes_all_is_right(way, schedule):
    result = adjoint.gradient(Decay(way), NUM_STEPS, schedule=SCHEDULES[schedule])
    np.testing.assert_allclose(result.cost, 5 * 0.9**NUM_STEPS, rtol=1e-14)


def test_what_is_computed_as_not_a_number_is_no_unwritten_entry():
    with pytest.raises(adjoint.NonFiniteError):
        adjoint.gradient(Decay("nan"), NUM_STEPS)


def test_ghost_cells_need_not_be_written():
    class Ghosts(Decay):
        writes_ghosts = True

    adjoint.gradient(Ghosts("all but one"), NUM_STEPS)
