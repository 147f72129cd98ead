"""A cost or an initial state without its derivative is refused, and so is the reverse."""

import numpy as np
import pytest

import adjoint


class Still(adjoint.FunctionStepper):
    """``u[k+1] = u[k]``."""

    def step(self, k, state, out):
        out["u"] = state["u"]

    def step_vjp(self, k, state, adjoint, gradient):
        pass


@pytest.mark.parametrize("function", ["step_cost", "terminal_cost", "initial_state"])
@pytest.mark.parametrize("half", ["", "_vjp"])
def test_one_of_a_pair_is_missing(function, half):
    given, missing = (function + half, function + ("" if half else "_vjp"))
    kind = type("Half", (Still,), {given: lambda *_: None})
    with pytest.raises(
        adjoint.StepperError, match=rf"^Half has {given} but no {missing}: write both"
    ):
        kind({"u": np.ones(3)}, {"m": 1.0})


@pytest.mark.parametrize("function", ["step_cost", "terminal_cost", "initial_state"])
def test_a_pair_is_taken(function):
    both = dict.fromkeys((function, f"{function}_vjp"), lambda *_: None)
    type("Whole", (Still,), both)({"u": np.ones(3)}, {"m": 1.0})
