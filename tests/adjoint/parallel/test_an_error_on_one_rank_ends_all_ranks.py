"""An exception on one rank while the others wait in MPI ends all ranks with a traceback.

They end whatever has become of that rank's standard error, where the traceback goes.
"""

import os
import subprocess
import sys

import pytest

from tests.conftest import mpirun

PROGRAM = """
import os, sys
sys.path[:0] = {path!r}
from mpi4py import MPI
import adjoint
from adjoint.parallel import communication
from pendulums import SharedPendulums

communication.GRACE_SECONDS = 0.5

class Broken(SharedPendulums):
    def step(self, step, state, out):
        if step == 6 and MPI.COMM_WORLD.rank == {rank}:
            {before}
            raise RuntimeError("the coast has fallen into the sea")
        super().step(step, state, out)

adjoint.gradient(Broken(2, 30, MPI.COMM_WORLD), 30, comm=MPI.COMM_WORLD)
"""


SPOILT = {
    "full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
    "a broken pipe": "read, write = os.pipe(); os.dup2(write, 2); os.close(read); os.close(write)",
    "a pipe that nobody reads": "os.dup2(os.pipe()[1], 2); os.write(2, bytes(1 << 16))",
    "closed": "sys.stderr.close()",
    "None": "sys.stderr = None",
}
"""What becomes of standard error."""


def run(tmp_path, rank, before="pass"):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(path=sys.path, rank=rank, before=before))
    return subprocess.run(
        [str(mpirun()), "-n", "2", sys.executable, str(program)],
        # As this process began: an MPI that a test initialised has added to the C environment.
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.needs("mpirun")
def test_all_ranks_end_with_the_traceback(rank, tmp_path):
    done = run(tmp_path, rank)
    assert done.returncode != 0
    assert "the coast has fallen into the sea" in done.stdout + done.stderr
    assert f"rank {rank} failed alone" in done.stdout + done.stderr


@pytest.mark.parametrize("stream", SPOILT)
@pytest.mark.needs("mpirun")
def test_all_ranks_end_though_nothing_can_be_printed(stream, tmp_path):
    assert run(tmp_path, 1, SPOILT[stream]).returncode != 0
