"""A file that fails, dies, hangs, differs between ranks or is empty fails its run under mpirun."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECORD_VARIABLE

TESTS = Path(__file__).parents[1]

FAILING = """
def test_it(comm):
    assert comm.rank != 1, "the second is wrong"
    comm.barrier()
"""

DYING = """
import os

def test_it(comm):
    if comm.rank:
        os._exit(3)
    comm.barrier()
"""

ABORTING = """
def test_it(comm):
    comm.Abort(7)
"""

HANGING = """
import pytest

@pytest.mark.timeout(2)
def test_it(comm):
    if comm.rank == 0:
        comm.barrier()
"""

DIFFERING = """
from mpi4py import MPI

if MPI.COMM_WORLD.rank:
    def test_a(): pass
else:
    def test_b(): pass
"""

BAD_FILES = {
    "fails_on_one_rank": (FAILING, "the second is wrong"),
    "cannot_be_collected": ("import no_such_thing\n", "No module named 'no_such_thing'"),
    "dies": (DYING, "mpirun: exit code 3"),
    "aborts": (ABORTING, "mpirun: exit code 7"),
    "hangs": (HANGING, "+ Timeout +"),
    "differs": (DIFFERING, "ranks collected different tests"),
    "is_empty": ("", "mpirun: exit code 5"),
}

GOOD = """
def test_a(comm):
    comm.barrier()

def test_b(comm):
    assert comm.size == 2
"""

LACKING = """
import pytest
pytest.importorskip("no_such_module")

def test_a(): pass
"""

OTHER_FILES = {"good": GOOD, "lacking": LACKING}

pytestmark = pytest.mark.needs("mpirun")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """The output of pytest in a checkout that has only these ranked files, each for two ranks."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "tests/parallel").mkdir(parents=True)
    for conftest in ("conftest.py", "parallel/conftest.py"):
        shutil.copy(TESTS / conftest, folder / "tests" / conftest)
    shutil.copy(TESTS.parent / "pyproject.toml", folder)
    contents = OTHER_FILES | {name: content for name, (content, _) in BAD_FILES.items()}
    for name, content in contents.items():
        (folder / f"tests/parallel/test_{name}.py").write_text(f"{content}\nRANKS = (2,)\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/parallel"]
    done = subprocess.run(
        command,
        cwd=folder,
        # As this process began: an MPI that a test initialised has added to the C environment.
        env={name: value for name, value in os.environ.items() if name != RECORD_VARIABLE},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_fails_and_says_why(output, name):
    reports = re.split(r"^_+ test_(\w+)\.py\[2 ranks\] _+$", output, flags=re.MULTILINE)
    report = reports[reports.index(name) + 1]
    assert BAD_FILES[name][1] in report


def test_nothing_else_fails(output):
    assert f" {len(BAD_FILES)} failed, 1 passed, 1 skipped in" in output


def test_what_passed_under_mpirun_is_counted(output):
    assert "tests/parallel/test_good.py: 2 passed on 2 ranks" in output


def test_what_is_absent_is_named(output):
    assert "no_such_module: 1 skipped without it" in output
