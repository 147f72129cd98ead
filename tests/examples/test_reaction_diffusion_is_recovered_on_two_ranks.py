"""The example, on a coarse grid: it finds its initial state, and heeds PETSc's options."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import mpirun

pytestmark = [pytest.mark.needs("mpirun"), pytest.mark.needs("petsc4py")]

SCRIPT = Path(__file__).parents[2] / "examples" / "reaction_diffusion.py"
OPTIONS = ["-cells", "16", "-steps", "8", "-iterations", "8"]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(mpirun()), "-n", "2", sys.executable, str(SCRIPT), *OPTIONS, *options]
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_state_is_found_and_drawn(tmp_path):
    done = run(tmp_path)
    first, last = map(float, re.search(r"misfit +(\S+) -> (\S+) ", done.stdout).groups())
    assert last < 0.2 * first
    assert float(re.search(r"true one (\S+)", done.stdout)[1]) > 0.8
    assert "iteration" in done.stderr, "there is no progress bar"
    assert [path.name for path in tmp_path.iterdir()] == ["reaction_diffusion.png"]
    assert (tmp_path / "reaction_diffusion.png").read_bytes().startswith(b"\x89PNG")


def test_options_are_those_of_petsc(tmp_path):
    options = ["-ts_type", "rk", "-ts_rk_type", "4", "-ts_adapt_type", "none", "-ts_monitor"]
    done = run(tmp_path, *options, "-iterations", "1")
    assert re.search(r"7 TS dt 0\.1 time 0\.7", done.stdout)
    assert "misfit" in done.stdout
