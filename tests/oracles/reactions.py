"""Small Gray-Scott reactions with strong diffusion, whose cost depends on every control."""

import numpy as np

from solvers.petsc.problems import GrayScott

SHAPE = (6, 5)
PARAMETERS = ("D1", "D2", "gamma", "kappa")


def whole_fields(shape=SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Return an initial and an observed state, of all cells."""
    rng = np.random.default_rng(7)
    return 0.5 + 0.4 * rng.random((*shape, 2)), rng.random((*shape, 2))


def reaction(comm=None, shape=SHAPE) -> GrayScott:
    problem = GrayScott(shape, comm=comm)
    initial, observed = whole_fields(shape)
    problem.controls["initial"][...] = initial[problem.grid.own]
    problem.observed = observed[problem.grid.own].copy()
    for name, value in (("D1", 8e-2), ("D2", 4e-2), ("gamma", 0.1), ("kappa", 0.2)):
        problem.controls[name][...] = value
    return problem
