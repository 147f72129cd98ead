"""<J d, w> = <d, J^T w> to round-off, with J d from the complex-step derivative of the kernel.

The kernel also works on complex numbers, so J d has no truncation error.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from solvers.shallow_water.adjoint_kernels import AdjointRows, close_step, pull_back_step
from solvers.shallow_water.kernels import step
from solvers.shallow_water.problem import (
    GHOSTS,
    Constants,
    Fields,
    Medium,
    OpenSides,
    Problem,
    Rows,
    Samples,
    Totals,
)

SHAPE = (7, 9)
PADDED = (SHAPE[0] + 2 * GHOSTS, SHAPE[1] + 2 * GHOSTS)
OWN = (slice(GHOSTS, -GHOSTS), slice(GHOSTS, -GHOSTS))
TINY = 1e-30


class Case:
    """A random state over a random medium, with a direction for each input of a step."""

    def __init__(self, sides, rng):
        self.sides = OpenSides(*sides)
        self.wet = np.zeros(PADDED)
        self.wet[OWN] = rng.random(SHAPE) > 0.15
        self.open_x, self.open_y = self.faces()
        self.state = self.random_fields(rng, 30.0)
        self.direction = self.random_fields(rng, 20.0)
        self.medium = Medium(30 + 50 * rng.random(PADDED), 0.3 * (1 + rng.random(PADDED)), self.wet)
        self.deeper, self.rougher = np.zeros(PADDED), np.zeros(PADDED)
        self.deeper[OWN] = rng.standard_normal(SHAPE)
        self.rougher[OWN] = 0.1 * rng.standard_normal(SHAPE)

    def faces(self):
        """Return masks of the faces that have a flux."""
        low, (top, right) = GHOSTS, (PADDED[0] - GHOSTS - 1, PADDED[1] - GHOSTS - 1)
        x, y = np.zeros(PADDED), np.zeros(PADDED)
        x[:, :-1] = self.wet[:, :-1] * self.wet[:, 1:]
        y[:-1] = self.wet[:-1] * self.wet[1:]
        for here, face, cell in (
            (self.sides.west, low - 1, low),
            (self.sides.east, right, right),
        ):
            if here:
                x[:, face] = self.wet[:, cell]
        for here, face, cell in (
            (self.sides.south, low - 1, low),
            (self.sides.north, top, top),
        ):
            if here:
                y[face] = self.wet[cell]
        return x, y

    def random_fields(self, rng, flux):
        return Fields(
            0.5 * self.wet * rng.standard_normal(PADDED),
            flux * self.open_x * rng.standard_normal(PADDED),
            flux * self.open_y * rng.standard_normal(PADDED),
        )

    def problem(self, medium, dtype):
        dt, dx, dy = 5.0, 500.0, 400.0
        numbers = (
            *(0.5, 1, dt / dx, dt / dy, dt / dx / 4, dt / dy / 4),
            *(30 * dt / dx**2, 30 * dt / dy**2, 9.81 * dt / dx, 9.81 * dt / dy),
            *(9.81, 1e-3 * dt, dt / 2, 1e-2),
        )
        no_gauge = np.zeros(0, np.int64)
        samples = Samples(no_gauge, no_gauge, np.zeros((0, 0)), 1, 1.0)
        rows = Rows.allocate(PADDED[1], dtype)
        return Problem(medium, self.sides, Constants(*map(dtype, numbers)), samples, rows)


def stepped(case, state, medium, dtype):
    after = Fields(*(np.full(PADDED, 9, dtype) for _ in range(3)))
    step(state, after, case.problem(medium, dtype))
    return after


def tangent(case):
    state = Fields(*(u + 1j * TINY * d for u, d in zip(case.state, case.direction, strict=True)))
    depth, drag, wet = case.medium
    medium = Medium(
        depth + 1j * TINY * case.deeper, drag + 1j * TINY * case.rougher, wet.astype(complex)
    )
    after = stepped(case, state, medium, np.complex128)
    assert_array_equal(after.eta.real, stepped(case, case.state, case.medium, np.float64).eta)
    return [field.imag / TINY for field in after]


@pytest.mark.parametrize("sides", [(False,) * 4, (True,) * 4, (True, False, False, True)], ids=str)
@pytest.mark.parametrize("margin", [0, GHOSTS])
def test_dot_products_agree(sides, margin, rng):
    case = Case(sides, rng)
    weights = case.random_fields(rng, 1.0)
    forward = sum(np.vdot(w, t) for w, t in zip(weights, tangent(case), strict=True))

    adjoint = Fields(*(w.copy() for w in weights))
    problem = case.problem(case.medium, np.float64)
    for ring in problem.rows:
        ring[:, 1:-1] = np.nan  # leftovers of an earlier step must have no effect
    shape = (PADDED[0] - 2 * margin, PADDED[1] - 2 * margin)
    totals = Totals(margin, np.zeros(shape), np.zeros(shape))
    rings = AdjointRows.allocate(PADDED[1], np.float64)
    pull_back_step(case.state, adjoint, problem, rings, totals)
    close_step(0, case.state, adjoint, problem)

    backward = sum(np.vdot(a, d) for a, d in zip(adjoint, case.direction, strict=True))
    kept = (slice(margin, PADDED[0] - margin), slice(margin, PADDED[1] - margin))
    backward += np.vdot(totals.depth, case.deeper[kept])
    backward += np.vdot(totals.drag, case.rougher[kept])
    assert backward == pytest.approx(forward, rel=1e-12)
