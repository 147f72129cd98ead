"""Whatever the disk does to a nonblocking MPI transfer, the gradient has the same bits.

The faults are of the C library (`io_faults`): MPICH never reports such a transfer as complete, and
Open MPI crashes in the call that completes it.
"""

import errno
import json
import subprocess
import sys
from pathlib import Path

import fault_run
import pytest
from io_faults import IoFaults

from tests.conftest import mpirun

pytestmark = pytest.mark.needs("mpi4py", "mpirun")

PROGRAM = Path(fault_run.__file__)
STATE_BYTES = 8 * 200
"""Less than a rank's part of a state, and more than an entry of the index."""

FAULTS = [
    ("aio_write", 1, errno.EIO),
    ("aio_write", 5, "hang"),
    ("aio_write", 2, "short"),
    ("fallocate", 4, errno.EDQUOT),
    ("aio_read", 1, errno.EIO),
    ("aio_read", 4, "hang"),
]


def run(folder, environment, **case):
    """Run a case on two ranks, which must end well; return the bits and the report of each."""
    case = {"seed": 4, "steps": 240, **case}
    done = subprocess.run(
        [str(mpirun()), "-n", "2", sys.executable, str(PROGRAM), str(folder), json.dumps(case)],
        env={**environment, "ADJOINT_TRANSFER_DEADLINE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    bits = [(folder / f"result-{rank}").read_bytes() for rank in range(2)]
    return bits, [(folder / f"said-{rank}").read_text() for rank in range(2)]


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in-memory")
    return run(folder, IoFaults(folder).environment(tmp_path_factory.mktemp("library")))[0]


@pytest.mark.parametrize(("call", "first", "what"), FAULTS)
def test_the_gradient_has_the_same_bits(call, first, what, tmp_path, in_memory):
    folder = tmp_path / "run"
    folder.mkdir()
    # Of three reservations in a row, not all can be of the journal.
    count = 3 if call == "fallocate" else 1
    faults = IoFaults(folder, call, first, what, count, rank=1, least_bytes=STATE_BYTES)
    bits, reports = run(folder, faults.environment(tmp_path), schedule="Asynchronous", engine="mpi")
    assert any(call.is_fault for call in faults.calls(tmp_path, rank=1))
    assert bits == in_memory
    assert all("lost states" in report for report in reports)
    if what == "hang":
        assert all("goes on with a transfer thread" in report for report in reports)
