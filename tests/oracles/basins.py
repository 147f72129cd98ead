"""Small rough basins for the shallow-water tests.

Random fields do not depend on the number of ranks: whole fields are generated and scattered.
"""

import numpy as np

from solvers import Gauges, Grid, ShallowWater

SHAPE = (11, 14)
SPACING = (900.0, 1100.0)
CELLS = ((2, 3), (8, 10), (5, 12))
NUM_STEPS = 12
EVERY = 2


def whole_fields(seed: int = 0) -> dict[str, np.ndarray]:
    """Return a bathymetry with an island and a shore, rough friction, and a hump of water."""
    rng = np.random.default_rng(seed)
    row, column = np.indices(SHAPE)
    depth = 60 + 30 * rng.random(SHAPE)
    depth[(row - 5) ** 2 + (column - 8) ** 2 < 3] = -20
    depth[0, :4] = -3
    hump = 2 * np.exp(-((row - 4) ** 2 + (column - 5) ** 2) / 6)
    return {
        "elevation": hump + 0.1 * rng.standard_normal(SHAPE),
        "bathymetry": depth,
        "friction": 0.05 * (1 + rng.random(SHAPE)),
    }


def observed() -> np.ndarray:
    """Return synthetic water levels."""
    samples = -(-NUM_STEPS // EVERY)
    return 0.5 * np.random.default_rng(3).standard_normal((samples, len(CELLS)))


def basin(comm=None, *, fields=None, **options) -> ShallowWater:
    """Return a stepper in a small rough basin, whose cost depends on every control."""
    fields = whole_fields() if fields is None else fields
    grid = Grid(SHAPE, SPACING, comm)
    parts = {name: grid.scatter(field) for name, field in fields.items()}
    options = {
        "gauges": Gauges(CELLS, observed(), every=EVERY, sigma=0.3),
        "coriolis": 1e-3,
        "viscosity": 20.0,
        "open_sides": ("west", "north"),
        **options,
    }
    return ShallowWater(grid, **parts, **options)
