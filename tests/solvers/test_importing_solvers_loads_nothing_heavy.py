"""``import solvers`` imports neither numba nor mpi4py nor matplotlib; names come when used."""

import subprocess
import sys

import pytest

import solvers

SCRIPT = """
import sys
import solvers
heavy = {"numba", "mpi4py", "matplotlib", "numpy", "scipy"} & set(sys.modules)
assert not heavy, heavy
assert set(dir(solvers)) >= {"Grid", "ShallowWater"}
from solvers import ShallowWater
assert "mpi4py" not in sys.modules and "matplotlib" not in sys.modules
"""


def test_in_a_fresh_interpreter():
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], check=True)


def test_every_name_is_there():
    for name in solvers.__all__:
        assert getattr(solvers, name).__name__ == name
    with pytest.raises(AttributeError, match="Heat"):
        _ = solvers.Heat
