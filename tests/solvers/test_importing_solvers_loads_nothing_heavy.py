"""Importing `solvers` or one of its packages loads no library; public names load when used."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = {
    "solvers": (),
    "solvers.grids": (),
    "solvers.jax": ("jax",),
    "solvers.petsc": ("petsc4py", "mpi4py"),
    "solvers.petsc.problems": ("petsc4py", "mpi4py"),
    "solvers.recurrent": (),
    "solvers.shallow_water": (),
    "solvers.torch": ("torch",),
}
"""What is needed to use every public name of a package."""

SCRIPT = """
import importlib, sys
for package in {packages}:
    importlib.import_module(package)
heavy = {{"numba", "mpi4py", "matplotlib", "numpy", "scipy", "petsc4py", "torch", "jax"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from solvers import ShallowWater
assert "mpi4py" not in sys.modules and "matplotlib" not in sys.modules
"""

PARAMETERS = [
    pytest.param(package, marks=[pytest.mark.needs(library) for library in libraries], id=package)
    for package, libraries in PACKAGES.items()
]


def test_in_a_fresh_interpreter():
    script = SCRIPT.format(packages=list(PACKAGES))
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


@pytest.mark.parametrize("package", PARAMETERS)
def test_every_public_name_can_be_used(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__name__.rpartition(".")[2] == name


@pytest.mark.parametrize("package", PACKAGES)
def test_other_names_are_refused(package):
    with pytest.raises(AttributeError, match=f"'{package}' has no attribute 'Absent'"):
        _ = importlib.import_module(package).Absent
