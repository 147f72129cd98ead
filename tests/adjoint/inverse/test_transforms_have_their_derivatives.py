"""Derivatives of transforms against complex steps, transposes against the dot product."""

import numpy as np
import pytest

from adjoint.errors import ArgumentError
from adjoint.inverse import Chain, Linear, Log, Logit
from adjoint.inverse.transforms import inverse_of

MATRIX = np.random.default_rng(1).standard_normal((4, 6))
SMOOTH = Linear(lambda p: MATRIX @ p, lambda g: MATRIX.T @ g)
TRANSFORMS = {
    "Log": Log(),
    "Logit": Logit(-0.5, np.array([2.0, 3.0, 4.0, 5.0, 6.0, 7.0])),
    "Linear": SMOOTH,
    "linear, then Log": Chain(SMOOTH, Log()),
    "Log, linear, Logit": Chain(Log(), SMOOTH, Logit(0.0, 3.0)),
    "Chain in Chain": Chain(Chain(Log(), SMOOTH), Logit(-1.0, 1.0)),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_derivatives(transform, rng):
    p, v, w = 0.3 * rng.standard_normal((3, 6))
    step = 1e-30
    exact = np.imag(transform.apply(p + 1j * step * v)) / step
    assert transform.jvp(p, v) == pytest.approx(exact, rel=1e-13, abs=1e-14)
    g = rng.standard_normal(exact.shape)
    assert transform.vjp(p, g) @ v == pytest.approx(g @ exact, rel=1e-12)
    bend = np.imag(transform.vjp(p + 1j * step * v, g)) / step
    assert transform.curvature(p, v, g) == pytest.approx(bend, rel=1e-12, abs=1e-13)
    assert transform.curvature(p, v, g) @ w == pytest.approx(
        transform.curvature(p, w, g) @ v, rel=1e-11, abs=1e-12
    )


@pytest.mark.parametrize("transform", [Log(), Logit(0.0, 9.0), Chain(Log(), Logit(0.0, 9.0))])
def test_inverse_returns_the_parameter(transform, rng):
    p = abs(rng.standard_normal(6)) + 0.1
    assert inverse_of(transform, transform.apply(p)) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(
    ("transform", "control", "why"),
    [
        (Log(), np.array([1.0, 0.0]), "positive control"),
        (Logit(0.0, 1.0), np.array([0.5, 1.0]), "strictly between"),
        (SMOOTH, np.zeros(4), "give the unknown its initial="),
        (Chain(SMOOTH, Log()), np.ones(4), "give the unknown its initial="),
    ],
)
def test_a_control_out_of_range_is_refused(transform, control, why):
    with pytest.raises(ArgumentError, match=why):
        inverse_of(transform, control)


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (-np.inf, 1.0), (0.0, np.nan)])
def test_bounds_out_of_order_are_refused(bounds):
    with pytest.raises(ArgumentError, match="finite lower bound below"):
        Logit(*bounds)
