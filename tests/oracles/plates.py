"""Small plates and lines with rough coefficients, whole fields scattered over ranks."""

from mpi4py import MPI  # noqa: F401, I001  (before petsc4py: it finds the MPI that that one needs)
import numpy as np

from solvers.petsc.problems import Burgers, Heat
from solvers import Sensors

SHAPE = (5, 6)
SIZE = 0.01
NUM_STEPS = 12
NODES = 9


def plate(comm=None, **options) -> Heat:
    """Return a plate with a pulsating source, and sensors read three times."""
    rng = np.random.default_rng(11)
    whole = {
        "log_conductivity": 0.3 * rng.standard_normal(SHAPE),
        "initial": rng.random(SHAPE),
    }
    source = rng.random(SHAPE)
    cells = [(1, 2), (3, 4), (0, 0)]
    sensors = Sensors(cells, [0.0, 6 * SIZE, NUM_STEPS * SIZE], rng.random((3, 3)), 0.3)
    options = {"sensors": sensors, "power": lambda t: 10 + 5 * np.sin(30 * t), **options}
    problem = Heat(SHAPE, comm=comm, **options)
    problem.source[...] = source[problem.grid.own]
    for name, field in whole.items():
        problem.controls[name][...] = field[problem.grid.own]
    return problem


def line(comm=None, num_steps: int = NUM_STEPS) -> Burgers:
    """Return a line with two forces, and a target state."""
    rng = np.random.default_rng(12)
    initial, target = rng.random((2, NODES))
    problem = Burgers(NODES, num_steps, 2, viscosity=0.1, price=0.3, comm=comm)
    own = problem.grid.own[0]
    problem.controls["initial"][...] = initial[own]
    problem.controls["forces"][...] = rng.random((num_steps, 2))
    problem.target[...] = target[own]
    return problem
