"""The waves of the campaign have the gradient of their cost: one cost, two codes, one difference.

Wave steps from one state to another, half-tape wave in place: the same equation, the same cost. Its
derivative along a direction is a central difference.
"""

import numpy as np
import pytest

pytest.importorskip("scipy")

from plan_campaign.models import MODELS

import adjoint

CELLS, STEPS = 40, 37


@pytest.fixture(params=["wave", "half-tape wave"])
def functional(request):
    stepper = MODELS[request.param].make(16 * CELLS, STEPS, None, None)
    with adjoint.Functional(stepper, STEPS, memory="1 MB") as functional:
        yield functional


def test_derivative(functional, rng):
    speed = functional.stepper.controls["c"].copy()
    _, gradient = functional.value_and_gradient()
    along, h = rng.standard_normal(CELLS), 1e-6
    up, down = (functional.value({"c": speed + sign * h * along}) for sign in (1, -1))
    assert (up - down) / (2 * h) == pytest.approx(gradient["c"] @ along, rel=1e-6)


def test_both_are_the_same_equation():
    found = []
    for kind in ("wave", "half-tape wave"):
        stepper = MODELS[kind].make(16 * CELLS, STEPS, None, None)
        found.append(adjoint.gradient(stepper, STEPS, memory="1 MB"))
    assert found[0].cost == pytest.approx(found[1].cost, rel=1e-12)
    np.testing.assert_allclose(
        found[0].gradient["c"], found[1].gradient["c"], rtol=1e-9, atol=1e-12
    )
