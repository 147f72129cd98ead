"""Importing `solvers` or one of its packages loads no library; public names load when used."""

import importlib
import pkgutil
import subprocess
import sys
from contextlib import suppress

import pytest

import solvers

with suppress(ImportError):  # MPI opens files of its own, which no test of these leaves behind
    from mpi4py import MPI  # noqa: F401

PACKAGES = [
    "solvers",
    *(m.name for m in pkgutil.walk_packages(solvers.__path__, "solvers.") if m.ispkg),
]
PUBLIC = [name for name in PACKAGES if hasattr(importlib.import_module(name), "__all__")]

SCRIPT = """
import importlib, sys
before = set(sys.modules)
for package in {packages}:
    importlib.import_module(package)
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
libraries = loaded - sys.stdlib_module_names - {{"adjoint", "solvers"}}
assert not libraries, libraries
from solvers import ShallowWater
assert "mpi4py" not in sys.modules and "matplotlib" not in sys.modules
"""


def test_in_a_fresh_interpreter():
    script = SCRIPT.format(packages=PACKAGES)
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_can_be_used(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__)
    for name in module.__all__:
        try:
            value = getattr(module, name)
        except ImportError as error:
            absent = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            if not isinstance(absent, ModuleNotFoundError):
                raise
            pytest.skip(f"needs {absent.name}, which is absent")
        assert value.__name__.rpartition(".")[2] == name


@pytest.mark.parametrize("package", PUBLIC)
def test_other_names_are_refused(package):
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'Absent'"):
        _ = importlib.import_module(package).Absent
