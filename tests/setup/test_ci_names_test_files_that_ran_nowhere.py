"""CI fails if a test file passed no test in any environment, and names the file."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECORD_VARIABLE

ROOT = Path(__file__).parents[2]
CHECK = ROOT / ".ci/check_test_files.py"
EXEMPT = sorted(runpy.run_path(str(CHECK))["EXEMPT"])

PASSING = "def test_it(): pass\n"
FAILING = "def test_it(): raise ValueError\n"
SKIPPED = "import pytest\n\n@pytest.mark.needs('no_such_module')\ndef test_it(): pass\n"
NOT_IMPORTED = "import pytest\n\npytest.importorskip('no_such_module')\n\ndef test_it(): pass\n"
BROKEN_TEARDOWN = (
    "import pytest\n\n@pytest.fixture\ndef broken():\n    yield\n    raise ValueError\n\n"
    "def test_it(broken): pass\n"
)


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose tests are only the files that are exempt."""
    (tmp_path / "tests").mkdir()
    for name in EXEMPT:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("pyproject.toml", "tests/conftest.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def check(checkout, **records):
    """Run the check on the records of these environments."""
    for name, text in records.items():
        (checkout / name).write_text(text)
    command = [sys.executable, str(CHECK), *records]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def record_of(checkout, *arguments):
    """Run pytest there, and return the record it wrote."""
    record = checkout / "record"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=checkout,
        env=os.environ | {RECORD_VARIABLE: str(record)},
        capture_output=True,
        check=False,
        timeout=100,
    )
    return record.read_text()


def test_a_file_may_run_in_either_environment(checkout):
    for name in ("a", "b"):
        (checkout / f"tests/test_{name}.py").touch()
    done = check(checkout, wheels="3 0 tests/test_a.py\n", distribution="1 0 tests/test_b.py\n")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("line", ["", "0 2 tests/folder/test_b.py\n"])
def test_a_file_that_passed_nowhere_is_named(checkout, line):
    (checkout / "tests/folder").mkdir()
    for path in ("tests/test_a.py", "tests/folder/test_b.py"):
        (checkout / path).touch()
    done = check(checkout, wheels=f"3 0 tests/test_a.py\n{line}")
    assert done.returncode == 1
    assert done.stdout == "tests/folder/test_b.py: no test of this file passed in any environment\n"


def test_an_environment_without_a_passed_test_is_named(checkout):
    (checkout / "tests/test_a.py").touch()
    done = check(checkout, wheels="3 0 tests/test_a.py\n", distribution="")
    assert done.returncode == 1
    assert done.stdout == "distribution: no test passed in this environment\n"


def test_an_exempt_file_that_is_gone_is_named(checkout):
    (checkout / EXEMPT[0]).unlink()
    (checkout / "tests/test_a.py").touch()
    done = check(checkout, wheels="1 0 tests/test_a.py\n")
    assert done.returncode == 1
    assert EXEMPT[0] in done.stdout


@pytest.mark.needs("xdist")
def test_runs_append_what_passed_and_failed(checkout):
    files = {
        "passing": PASSING,
        "failing": FAILING,
        "skipped": SKIPPED,
        "not_imported": NOT_IMPORTED,
        "broken_teardown": BROKEN_TEARDOWN,
        "broken": "import no_such_module\n",
    }
    for name, content in files.items():
        (checkout / f"tests/test_{name}.py").write_text(content)
    in_one_process = record_of(checkout, "--continue-on-collection-errors")
    assert in_one_process == (
        "0 1 tests/test_broken.py\n"
        "1 1 tests/test_broken_teardown.py\n"
        "0 1 tests/test_failing.py\n"
        "1 0 tests/test_passing.py\n"
    )
    assert record_of(checkout, "--continue-on-collection-errors", "-n", "2") == 2 * in_one_process


def test_a_run_that_collects_nothing_fails(checkout):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, check=False, timeout=100)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
