"""Time integrators of a few lines in NumPy, for complex arguments: so that a cost can be
differentiated by the complex step ``J'(x) = Im J(x + i e) / e`` to the last digit, by no adjoint.

An equation is ``residual(t, u, rate, m) = 0`` with ``jacobian(u, rate, shift, m)``, in which an
error would cost Newton's method speed, not exactness. ``m`` has the row of the step for what has
rows.
"""

from collections.abc import Callable

import numpy as np

STEP = 1e-30


def newton(equation: Callable, jacobian: Callable, x: np.ndarray) -> np.ndarray:
    for _ in range(60):
        change = np.linalg.solve(jacobian(x), equation(x))
        x = x - change
        if np.abs(change).max() < 1e-15 * max(1.0, np.abs(x).max()) and _small_imaginary(change, x):
            break
    return x


def _small_imaginary(change: np.ndarray, x: np.ndarray) -> bool:
    # The imaginary part is as small as the step, and has to converge as well.
    return np.abs(change.imag).max() <= 1e-15 * np.abs(x.imag).max()


def stage(eq, t, base, shift, m, guess, affine=0.0):
    """Return X with ``F(t, X, shift (X - base)) + affine = 0``."""
    return newton(
        lambda x: eq.residual(t, x, shift * (x - base), m) + affine,
        lambda x: eq.jacobian(x, shift * (x - base), shift, m),
        guess,
    )


def rate_at(eq, t, x, m):
    """Return K with ``F(t, X, K) = 0``."""
    return newton(
        lambda rate: eq.residual(t, x, rate, m),
        lambda rate: eq.jacobian(x, rate, 1.0, m) - eq.jacobian(x, rate, 0.0, m),
        0 * x,
    )


def theta_step(theta):
    def step(eq, k, t, h, u, m, cost):
        (u,) = u
        slope = -eq.residual(t, u, 0 * u, m)
        x = stage(eq, t + h, u, 1 / (theta * h), m, u, -(1 - theta) / theta * slope)
        own = h * ((1 - theta) * cost(t, u, m) + theta * cost(t + h, x, m))
        return (x,), own

    return step


def bdf2_step(sizes):
    def step(eq, k, t, h, levels, m, cost):
        u, v = levels if k else (levels[0], levels[0])
        w = h / sizes[k - 1] if k else 0.0
        base = ((1 + w) ** 2 * u - w**2 * v) / (1 + 2 * w)
        x = stage(eq, t + h, base, (1 + 2 * w) / ((1 + w) * h), m, u)
        return (x, u), h / 2 * (cost(t, u, m) + cost(t + h, x, m))

    return step


def runge_kutta_step(a, b, c):
    """Return a step by slopes; explicit stages solve for the rate."""

    def step(eq, k, t, h, levels, m, cost):
        (u,) = levels
        slopes, own = [], 0.0
        for i in range(len(b)):
            base = u + h * sum((a[i][j] * slopes[j] for j in range(i)), 0 * u)
            at = t + c[i] * h
            if a[i][i] == 0:
                x = base
                slopes.append(rate_at(eq, at, x, m))
            else:
                x = stage(eq, at, base, 1 / (h * a[i][i]), m, u)
                slopes.append((x - base) / (h * a[i][i]))
            own += h * b[i] * cost(at, x, m)
        return (u + h * sum(b[i] * slopes[i] for i in range(len(b))),), own

    return step


def total_cost(eq, step, sizes, m, rows, costs, observed):
    """Return the cost of a run; `observed` maps steps to observations."""
    levels, total, t = (np.asarray(m["initial"], dtype=complex),), 0.0, 0.0
    for k, h in enumerate(sizes):
        now = {name: value[k] if name in rows else value for name, value in m.items()}
        if k in observed:
            total += costs.observation_cost(observed[k], levels[0], now)
        levels, own = step(eq, k, t, h, levels, now, costs.running_cost)
        total, t = total + own, t + h
    if len(sizes) in observed:
        total += costs.observation_cost(observed[len(sizes)], levels[0], m)
    return total + costs.terminal_cost(levels[0], m)


def complex_step_gradient(cost: Callable, controls: dict) -> tuple[float, dict]:
    """Return a cost and its gradient, by one evaluation for each number in the controls."""
    gradient = {name: np.zeros_like(value) for name, value in controls.items()}
    for name, value in controls.items():
        for place in np.ndindex(value.shape):
            moved = {k: v.astype(complex) for k, v in controls.items()}
            moved[name][place] += 1j * STEP
            gradient[name][place] = cost(moved).imag / STEP
    return float(cost({k: v.astype(complex) for k, v in controls.items()}).real), gradient
