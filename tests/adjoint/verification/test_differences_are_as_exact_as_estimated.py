"""The estimated error of a difference is above the true one, whatever the function is like."""

import math

import numpy as np
import pytest

from adjoint.verification.differences import Precision, Samples, compare, measure_noise

EPSILON = {np.float64: 2.3e-16, np.float32: 1.2e-7}

FUNCTIONS = {
    "smooth": (lambda t: math.exp(math.sin(t + 0.4)), math.exp(math.sin(0.4)) * math.cos(0.4)),
    "linear": (lambda t: 3 - 2 * t, -2.0),
    "steep": (lambda t: math.sin(200 * t + 0.3), 200 * math.cos(0.3)),
    "saturated": (lambda t: 5 + math.tanh(3000 * t + 0.5), 3000 / math.cosh(0.5) ** 2),
    "kinked nearby": (lambda t: t + 0.2 * abs(t - 3e-4), 0.8),
    "kinked here": (lambda t: t + 0.2 * abs(t), 1.2),
}


def compared(function, slope, epsilon, noise=0.0, seed=0):
    """Compare the derivative of a noisy function with a slope."""
    rng = np.random.default_rng(seed)
    precision = Precision(epsilon)

    def sample(t):
        value = function(t) * (1 + noise * rng.standard_normal())
        return Samples(np.array([value]), np.array([slope * t]))

    step, level = measure_noise(sample, precision)
    return compare(sample, [slope], [0.0], step, level, precision)[0], float(level[0])


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("off", [0.0, 0.3])
def test_errors_are_within_the_estimate(name, dtype, off):
    function, exact = FUNCTIONS[name]
    for seed in range(20):
        noise = 0.3 * EPSILON[dtype]
        found, _ = compared(function, (1 + off) * exact, EPSILON[dtype], noise, seed)
        if not found.doubt:
            assert abs(found.by_differences - exact) <= 2 * found.error, (seed, found)
        expected = {"wrong", "cannot tell"} if off else {"right", "cannot tell"}
        assert found.verdict in expected, (seed, found)


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-7])
def test_noise_is_measured(noise):
    levels = [compared(FUNCTIONS["smooth"][0], 1.0, 2.3e-16, noise, seed)[1] for seed in range(20)]
    assert np.median(levels) == pytest.approx(noise * FUNCTIONS["smooth"][0](0.01), rel=0.4)


def test_a_value_rounded_to_single_precision_is_no_smooth_function():
    def rounded(t):
        return float(np.float32(1 + 0.1 * math.sin(t + 0.3)))

    found, level = compared(rounded, 0.1 * math.cos(0.3), 2.3e-16)
    assert 1e-9 < level < 1e-6
    assert found.verdict != "wrong"
    assert compared(rounded, 0.2 * math.cos(0.3), 2.3e-16)[0].verdict == "wrong"


@pytest.mark.parametrize("name", ["smooth", "linear", "steep"])
def test_a_smooth_function_is_known_to_half_its_digits(name):
    function, exact = FUNCTIONS[name]
    found, _ = compared(function, exact, 2.3e-16)
    assert found.verdict == "right"
    assert found.relative_error < 1.6e-8
