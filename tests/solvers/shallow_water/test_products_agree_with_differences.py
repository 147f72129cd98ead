"""Hessian products agree with differences of the gradient, Gauss-Newton ones with those of waves.

A Gauss-Newton product ``w . G v`` is the sum of ``(J w)(J v)`` over samples at the gauges, weighted
as in the cost, where ``J`` is the derivative of what `simulate` returns.
"""

import numpy as np
import pytest
from basins import EVERY, NUM_STEPS, basin

import adjoint
from adjoint.schedules import Revolve
from adjoint.verification import second_order_test

SIDES = {"open": ("west", "north"), "closed": ()}


def directions(stepper, count=2):
    rng = np.random.default_rng(0)
    return {
        name: 0.1 * np.abs(c) * rng.standard_normal((count, *c.shape))
        for name, c in stepper.controls.items()
    }


def slope(function, stepper, along, step=1e-3):
    """Return the derivative of arrays along a direction, extrapolated from four points."""
    kept = {name: control.copy() for name, control in stepper.controls.items()}

    def at(size):
        for name, control in stepper.controls.items():
            control[...] = kept[name] + size * along[name]
        found = function()
        for name, control in stepper.controls.items():
            control[...] = kept[name]
        return found

    ahead, behind = at(step), at(-step)
    far, back = at(2 * step), at(-2 * step)
    return {k: (8 * (ahead[k] - behind[k]) - (far[k] - back[k])) / (12 * step) for k in ahead}


@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_hessian(sides):
    stepper = basin(open_sides=sides)
    given = directions(stepper)
    with adjoint.Functional(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 2)) as functional:
        cost, gradient = functional.value_and_gradient()
        found = functional.second_order(given)
        assert found.cost == cost
        assert all(np.array_equal(found.gradient[k], g) for k, g in gradient.items())
        for index in range(2):
            along = {name: each[index] for name, each in given.items()}
            expected = slope(lambda: functional.value_and_gradient()[1], stepper, along)
            for name, product in expected.items():
                scale = np.abs(product).max()
                np.testing.assert_allclose(
                    found.products[name][index], product, rtol=0, atol=1e-9 * scale
                )


def test_it_passes_the_test_of_second_derivatives():
    stepper = basin()
    along = {name: each[0] for name, each in directions(stepper).items()}
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        result = second_order_test(functional, along)
    assert result.passed, result
    assert result.symmetry < 1e-13


def test_gauss_newton():
    stepper = basin()
    given = directions(stepper)
    weight = stepper.time_step * EVERY / stepper.gauges.sigma**2
    waves = [
        slope(
            lambda: {"": stepper.simulate(NUM_STEPS)}, stepper, {k: d[i] for k, d in given.items()}
        )
        for i in range(2)
    ]
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        found = functional.second_order(given, gauss_newton=True).products
    for i in range(2):
        for j in range(2):
            expected = weight * np.sum(waves[i][""] * waves[j][""])
            product = sum(np.sum(d[i] * found[name][j]) for name, d in given.items())
            size = weight * np.sum(np.abs(waves[i][""] * waves[j][""]))
            assert product == pytest.approx(expected, abs=1e-9 * size)


def test_single_precision_is_close_to_double():
    given = {name: d[0] for name, d in directions(basin()).items()}
    found = []
    for dtype in (np.float32, np.float64):
        with adjoint.Functional(basin(dtype=dtype), NUM_STEPS) as functional:
            found.append(functional.hessian_product({k: d.astype(dtype) for k, d in given.items()}))
    for name, product in found[1].items():
        assert np.abs(found[0][name] - product).max() < 1e-3 * np.abs(product).max()
