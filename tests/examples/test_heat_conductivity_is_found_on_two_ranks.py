"""The example, on a coarse plate: it finds the inclusions and keeps to its memory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import mpirun

pytest.importorskip("petsc4py")
pytest.importorskip("scipy")

SCRIPT = Path(__file__).parents[2] / "examples" / "heat_conductivity.py"
OPTIONS = ["--cells", "20", "--steps", "40", "--iterations", "12", "--memory", "40 kB"]
OF_PETSC = ["-ksp_type", "cg", "-ksp_converged_reason"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    command = [str(mpirun()), "-n", "2", sys.executable, str(SCRIPT), *OPTIONS, *OF_PETSC]
    done = subprocess.run(
        command,
        cwd=folder,
        # As this process began: an MPI that a test initialised has added to the C environment.
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done, folder


@pytest.mark.needs("mpirun")
def test_the_misfit_falls_and_the_inclusions_are_found(run):
    done, _ = run
    first, last = map(float, re.search(r"misfit +(\S+) -> (\S+) ", done.stdout).groups())
    assert last < 0.4 * first
    assert float(re.search(r"true one (\S+)", done.stdout)[1]) > 0.8


@pytest.mark.needs("mpirun")
def test_it_says_what_it_did_and_takes_options_of_petsc(run):
    done, _ = run
    for said in ("trajectory", "memory for states", "recomputation", "solve converged"):
        assert said in done.stdout
    assert "iteration" in done.stderr, "there is no progress bar"


@pytest.mark.needs("mpirun")
def test_the_picture_is_drawn_and_nothing_else_is_left(run):
    _, folder = run
    assert [path.name for path in folder.iterdir()] == ["heat_conductivity.png"]
    assert (folder / "heat_conductivity.png").read_bytes().startswith(b"\x89PNG")
