"""A standard stream that is closed is the null device, so no later file takes its number."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
path = sys.argv[1]
closed = [int(number) for number in sys.argv[2].split(",")]
for number in closed:
    os.close(number)
import adjoint
opened = os.open(os.devnull, os.O_RDONLY)
assert opened > 2, opened
for number in closed:
    assert os.path.samestat(os.fstat(number), os.stat(os.devnull)), number
with open(path, "w") as file:
    file.write("fine")
"""


@pytest.mark.parametrize("closed", ["0", "1", "2", "0,1,2", "1,2"])
def test_they_are_the_null_device(tmp_path, closed):
    path = tmp_path / "said"
    subprocess.run([sys.executable, "-c", PROGRAM, str(path), closed], timeout=60, check=False)
    assert path.read_text() == "fine"


def test_open_ones_stay_as_they_are():
    before = [os.fstat(number) for number in range(3)]
    done = subprocess.run(
        [sys.executable, "-c", "import adjoint; print('still here')"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "still here\n"
    assert all(
        os.path.samestat(os.fstat(number), stat)
        for number, stat in zip(range(3), before, strict=True)
    )
