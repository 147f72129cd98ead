"""The example, on a coarse grid, finds where the leak was, and draws it."""

import re

import pytest

pytestmark = [pytest.mark.needs("mpirun"), pytest.mark.needs("dolfinx")]

OPTIONS = ["-cells", "12", "-steps", "30", "-iterations", "15", "-memory", "60 kB"]


def test_the_cost_falls_and_the_place_is_found(tmp_path, run_example):
    done = run_example("groundwater_leak.py", OPTIONS, tmp_path, ranks=2)
    first, last = map(float, re.search(r"cost +(\S+) -> (\S+) ", done.stdout).groups())
    assert last < 0.5 * first
    assert float(re.search(r"true leak, (\S+) cells", done.stdout)[1]) < 3
    assert "iteration" in done.stderr, "there is no progress bar"
    assert [path.name for path in tmp_path.iterdir()] == ["groundwater_leak.png"]
    assert (tmp_path / "groundwater_leak.png").read_bytes().startswith(b"\x89PNG")
