"""An error that one rank alone meets during a search ends all ranks, with that error printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import mpirun

ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
from mpi4py import MPI
from pendulums import SharedPendulums
import adjoint
from adjoint.inverse import Inversion, Unknown

comm, method, place = MPI.COMM_WORLD, sys.argv[1], sys.argv[2]

def fail(*_):
    raise ZeroDivisionError("on one rank")

stepper = SharedPendulums(2, 12, comm)
with adjoint.Functional(stepper, 12, comm=comm) as functional:
    inversion = Inversion(functional, [Unknown("angle"), Unknown("force")])
    inversion.cost_and_gradient(inversion.initial)
    if comm.rank == 1:
        setattr(*((stepper, "step_cost", fail) if place == "step" else
                  (inversion.variables["angle"], "part", fail)))
    inversion.minimise(method)
"""


@pytest.mark.needs("mpirun")
@pytest.mark.timeout(150)
@pytest.mark.parametrize("place", ["step", "distribution"])
@pytest.mark.parametrize(
    "method", ["L-BFGS-B", pytest.param("tao:lmvm", marks=pytest.mark.needs("petsc4py"))]
)
def test_all_end(method, place):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "oracles")])
    ended = subprocess.run(
        [str(mpirun()), "-n", "2", sys.executable, "-c", PROGRAM, method, place],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode != 0
    assert "ZeroDivisionError: on one rank" in ended.stderr
    assert "rank 1 failed alone: ending all ranks" in ended.stderr
