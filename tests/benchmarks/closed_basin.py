"""The problem of the benchmarks: shallow water in a closed square basin of a given size."""

import math

import numpy as np

from solvers import Gauges, Grid, ShallowWater

NUM_FIELDS = 3


def closed_basin(state_bytes: int) -> ShallowWater:
    """Return a stepper on one process whose state has about the given size in bytes, in float64."""
    side = max(16, math.isqrt(state_bytes // (NUM_FIELDS * 8)) - 4)
    row, column = np.indices((side, side)) / side
    hump = np.exp(-200 * ((row - 0.4) ** 2 + (column - 0.6) ** 2))
    depth = 200 + 50 * np.cos(6 * row) * np.sin(5 * column)
    gauge = (side // 3, side // 3)
    gauges = Gauges([gauge], np.zeros((1 << 17, 1)), every=10)
    return ShallowWater(
        Grid((side, side), (1000.0, 1000.0)), bathymetry=depth, elevation=hump, gauges=gauges
    )
