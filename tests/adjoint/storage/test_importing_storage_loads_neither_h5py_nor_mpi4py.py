"""Only what makes the file loads h5py, only the MPI engine loads mpi4py: either may start MPI."""

import subprocess
import sys

import pytest


def loaded_by(module):
    code = f"import sys, {module}; print(*{{'h5py', 'mpi4py'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["blocks", "store", "engines.thread"])
def test_neither(module):
    assert loaded_by(f"adjoint.storage.{module}") == set()


@pytest.mark.needs("mpi4py")
def test_mpi4py_alone():
    assert loaded_by("adjoint.storage.engines.mpi") == {"mpi4py"}
