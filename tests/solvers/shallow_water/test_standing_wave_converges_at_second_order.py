"""A small standing wave in a closed basin follows its exact solution to second order."""

import numpy as np

from solvers import Grid, ShallowWater

LENGTH, WIDTH, DEPTH, GRAVITY = 1000.0, 700.0, 20.0, 9.81
AMPLITUDE = 1e-6  # small enough for the wave to be linear
WAVE_X, WAVE_Y = 2 * np.pi / LENGTH, np.pi / WIDTH


def error(cells: int) -> float:
    """Return the largest error, relative to the amplitude, after most of a period."""
    rows, columns = 7 * cells, 10 * cells
    grid = Grid((rows, columns), (WIDTH / rows, LENGTH / columns))
    y, x = ((np.arange(n) + 0.5) * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    shape = AMPLITUDE * np.outer(np.cos(WAVE_Y * y), np.cos(WAVE_X * x))
    frequency = np.sqrt(GRAVITY * DEPTH * (WAVE_X**2 + WAVE_Y**2))
    num_steps = 16 * cells
    time_step = 0.8 * 2 * np.pi / frequency / num_steps
    solver = ShallowWater(
        grid,
        bathymetry=DEPTH,
        elevation=shape,
        friction=0.0,
        viscosity=0.0,
        gravity=GRAVITY,
        time_step=time_step,
    )
    solver.start()
    solver.advance(0, num_steps)
    exact = shape * np.cos(frequency * num_steps * time_step)
    return float(np.abs(solver.state["eta"][2:-2, 2:-2] - exact).max()) / AMPLITUDE


def test_order_is_two():
    errors = [error(cells) for cells in (1, 2, 4, 8)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (orders[1:] > 1.9).all(), (errors, orders)
    assert errors[-1] < 2e-3
