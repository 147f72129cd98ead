"""`import adjoint, solvers` loads none of the heavy libraries, and never touches MPI.

That is what makes it quick: each of these takes from a tenth of a second to several.
"""

import subprocess
import sys

import pytest

HEAVY = {"dolfinx", "h5py", "jax", "matplotlib", "mpi4py", "numba", "petsc4py", "scipy", "torch"}
PROGRAM = "import adjoint, solvers, sys; print(*sys.modules)"


@pytest.fixture(scope="module")
def loaded():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_they_are_there(loaded):
    assert {"adjoint", "solvers"} <= loaded


def test_heavy_libraries_are_not_loaded(loaded):
    assert not HEAVY & loaded


def test_first_use_loads_all_that_a_run_needs():
    """A rank that loaded something later, and could not, would leave the others waiting."""
    program = "from adjoint import FunctionStepper; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "adjoint.functional" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())
