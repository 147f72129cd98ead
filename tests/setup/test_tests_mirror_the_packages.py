"""A test's folder is its subject: every package has a folder of tests, of the same name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTED_ON_RANKS = {"solvers/grids"}
"""Packages whose tests are in tests/parallel."""


def folders(path, marker):
    return {folder.name for folder in (ROOT / path).iterdir() if any(folder.glob(marker))}


@pytest.mark.parametrize("package", ["adjoint", "solvers"])
def test_folders_are_packages(package):
    assert folders(f"tests/{package}", "**/test_*.py") <= folders(package, "__init__.py")


@pytest.mark.parametrize("package", ["adjoint", "solvers"])
def test_every_package_has_a_folder(package):
    missing = folders(package, "__init__.py") - folders(f"tests/{package}", "**/test_*.py")
    assert {f"{package}/{name}" for name in missing} <= TESTED_ON_RANKS
