"""An exception on one rank while the others wait in MPI ends all ranks with a traceback."""

import os
import subprocess
import sys
import time

import pytest

from tests.conftest import mpirun

PROGRAM = """
import sys
sys.path[:0] = {path!r}
from mpi4py import MPI
import adjoint
from pendulums import SharedPendulums

class Broken(SharedPendulums):
    def step(self, step, state, out):
        if step == 6 and MPI.COMM_WORLD.rank == {rank}:
            raise RuntimeError("the coast has fallen into the sea")
        super().step(step, state, out)

adjoint.gradient(Broken(2, 30, MPI.COMM_WORLD), 30, comm=MPI.COMM_WORLD)
"""


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.needs("mpirun")
def test_all_ranks_end_with_the_traceback(rank, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(path=sys.path, rank=rank))
    began = time.monotonic()
    done = subprocess.run(
        [str(mpirun()), "-n", "2", sys.executable, str(program)],
        # As this process began: an MPI that a test initialised has added to the C environment.
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode != 0
    assert "the coast has fallen into the sea" in done.stdout + done.stderr
    assert f"rank {rank} failed alone" in done.stdout + done.stderr
    assert time.monotonic() - began < 60
