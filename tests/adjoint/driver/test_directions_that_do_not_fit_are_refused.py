"""Bad directions are refused in a sentence before anything is computed; tangents are named."""

import numpy as np
import pytest
from seven_cells import NUM_STEPS, AnalyticCells, Cells, directions
from stepper_by_hand import copied

import adjoint
from adjoint.errors import ArgumentError, NonFiniteError, StepperError

ONE = np.ones((1, 7))

BAD = [
    ({"x": ONE}, None, "there is no control 'x': there are ['a', 'b', 'f', 'w']"),
    ({}, None, "directions are given by the name of a control"),
    ([ONE], None, "directions are given by the name of a control"),
    ({"a": np.ones(7)}, None, r"direction 'a' has shape (7,): it must have that of the control"),
    ({"a": np.ones((1, 6))}, None, "has shape (1, 6): it must have that of the control, (7,)"),
    ({"a": np.ones((0, 7))}, None, "of which there is at least one"),
    ({"a": ONE, "b": np.ones((2, 7))}, None, "as many for each control: not {'a': 1, 'b': 2}"),
    ({"a": ONE.astype(complex)}, None, "has dtype complex128: control 'a' is float64"),
    ({"a": ONE.astype(int)}, None, "has dtype int64: give floating-point numbers"),
    ({"a": np.ma.masked_array(ONE)}, None, "cannot be a masked array"),
    ({"a": ONE}, 0, "block=0: give an integer of at least 1"),
    ({"a": ONE}, 1.5, "block=1.5: give an integer of at least 1"),
    ({"a": ONE}, True, "block=True: give an integer of at least 1"),
]


@pytest.mark.parametrize(("given", "block", "said"), BAD)
def test_refusal(given, block, said):
    stepper = Cells()
    before = copied(stepper.controls)
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        with pytest.raises(ArgumentError) as refused:
            functional.second_order(given, {"b": np.zeros(7)}, block=block)
        assert said in str(refused.value)
        assert all(np.array_equal(stepper.controls[k], c) for k, c in before.items())
        with pytest.raises(ArgumentError, match=r"has shape .6,.: it must have that"):
            functional.hessian_product({"a": np.ones(6)})


def test_controls_are_copied_first():
    with adjoint.Functional(Cells(), NUM_STEPS) as functional:
        found = functional.second_order(directions(1), {"b": np.zeros(7)})
        assert found.cost == functional.value()


class Overflowing(AnalyticCells):
    def step_jvp(self, step, state, tangent, control_tangent, out):
        out["u"][:] = tangent["u"] if step < 5 else np.inf


def test_tangents_that_are_not_finite_are_named():
    functional = adjoint.Functional(Overflowing(), NUM_STEPS)
    with functional, pytest.raises(NonFiniteError, match="the tangent of 'u' is not finite"):
        functional.hessian_product({"a": np.ones(7)})


class Forgetful(Cells):
    def step_jvp(self, step, state, tangent, control_tangent, out):
        out["u"][1:] = tangent["u"][1:]


def test_tangents_that_are_left_unwritten_are_found():
    functional = adjoint.Functional(Forgetful(), NUM_STEPS)
    with functional, pytest.raises(StepperError, match="left 1 of 7 entries of the tangent of 'u'"):
        functional.hessian_product({"a": np.ones(7)})


def test_names_of_tangents_are_free():
    class Taken(Cells):
        def __init__(self):
            adjoint.FunctionStepper.__init__(self, {"u": np.zeros(7), "u'": np.zeros(7)}, {})

    functional = adjoint.Functional(Cells(), NUM_STEPS)
    functional.close()
    with pytest.raises(StepperError, match="has the name of the tangents of 'u'"):
        adjoint.steppers.second_order.second_order(Taken(), {"a": ONE})


def test_a_stepper_without_second_derivatives():
    class Protocol:
        def __init__(self):
            inner = Cells()
            for name in ("state", "adjoint", "controls", "accumulators", "per_step"):
                setattr(self, name, getattr(inner, name))
            for name in ("start", "advance", "record", "turn", "pull_back", "finish"):
                setattr(self, name, getattr(inner, name))

    functional = adjoint.Functional(Protocol(), NUM_STEPS)
    with functional, pytest.raises(StepperError, match="Protocol has no second derivatives"):
        functional.hessian_product({"a": np.ones(7)})
