"""A file that fails, dies, hangs, differs between ranks or is empty fails its run under mpirun."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

BAD_FILES = {
    "fails_on_one_rank": (
        "def test_it(comm):\n    assert comm.rank != 1, 'it is wrong'\n    comm.barrier()\n",
        "it is wrong",
    ),
    "cannot_be_collected": ("import no_such_thing\n", "No module named 'no_such_thing'"),
    "dies": (
        "import os\ndef test_it(comm):\n    if comm.rank: os._exit(3)\n    comm.barrier()\n",
        "mpirun: exit code 3",
    ),
    "aborts": ("def test_it(comm):\n    comm.Abort(7)\n", "mpirun: exit code 7"),
    "hangs": (
        "import pytest\n@pytest.mark.timeout(2)\ndef test_it(comm): comm.rank or comm.barrier()\n",
        "+ Timeout +",
    ),
    "differs": (
        "from mpi4py import MPI\nif MPI.COMM_WORLD.rank:\n    def test_a(): pass\n",
        "ranks collected different tests",
    ),
    "is_empty": ("", "mpirun: exit code 5"),
}

OTHER_FILES = {
    "good": "def test_a(comm): comm.barrier()\ndef test_b(comm): assert comm.size == 2\n",
    "lacking": "import pytest\npytest.importorskip('no_such_module')\ndef test_a():\n    pass\n",
}

pytestmark = pytest.mark.needs("mpirun")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """What pytest says to a checkout that has only these ranked files, each for two ranks."""
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
        env=dict(os.environ),
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
    assert "no_such_module: 1 skipped for want of it" in output
