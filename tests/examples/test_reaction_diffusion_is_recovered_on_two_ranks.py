"""The example, on a coarse grid, recovers the initial state, and takes PETSc's options."""

import re

import pytest

pytestmark = [pytest.mark.needs("mpirun"), pytest.mark.needs("petsc4py")]

OPTIONS = ["-cells", "16", "-steps", "8", "-iterations", "8"]


def test_the_state_is_found_and_drawn(tmp_path, run_example):
    done = run_example("reaction_diffusion.py", OPTIONS, tmp_path, ranks=2)
    first, last = map(float, re.search(r"misfit +(\S+) -> (\S+) ", done.stdout).groups())
    assert last < 0.2 * first
    assert float(re.search(r"true one (\S+)", done.stdout)[1]) > 0.8
    assert "iteration" in done.stderr, "there is no progress bar"
    assert [path.name for path in tmp_path.iterdir()] == ["reaction_diffusion.png"]
    assert (tmp_path / "reaction_diffusion.png").read_bytes().startswith(b"\x89PNG")


def test_options_are_those_of_petsc(tmp_path, run_example):
    options = ["-ts_type", "rk", "-ts_rk_type", "4", "-ts_adapt_type", "none", "-ts_monitor"]
    options = [*OPTIONS, *options, "-iterations", "1"]
    done = run_example("reaction_diffusion.py", options, tmp_path, ranks=2)
    assert re.search(r"7 TS dt 0\.1 time 0\.7", done.stdout)
    assert "misfit" in done.stdout
