"""Only creating and reading a file loads h5py, only the MPI engine mpi4py: either may start MPI."""

import subprocess
import sys

import pytest

PUBLIC = "Block, BlockPool, Engine, RowEngine, register_engine"


def loaded_by(statement):
    code = f"import sys; {statement}; print(*{{'h5py', 'mpi4py'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        f"from adjoint.storage import {PUBLIC}",
        "from adjoint.storage.engines import *",
        "import adjoint.storage.store",
    ],
)
def test_neither_is_loaded(statement):
    assert loaded_by(statement) == set()


def test_reading_a_file_loads_h5py_alone():
    assert loaded_by("from adjoint.storage import *") == {"h5py"}


@pytest.mark.needs("mpi4py")
def test_mpi_engine_loads_mpi4py_alone():
    assert loaded_by("import adjoint.storage.engines.mpi") == {"mpi4py"}
