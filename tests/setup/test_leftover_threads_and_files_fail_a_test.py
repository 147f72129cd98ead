"""A test that leaves a thread, an open file or a scratch file behind fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import RECORD_VARIABLE

TESTS = Path(__file__).parents[1]

CONTENT = """
import tempfile, threading

kept = []

def test_thread():
    event = threading.Event()
    threading.Thread(target=event.wait, args=(5,), name="left-over", daemon=True).start()

def test_open_file(tmp_path):
    kept.append((tmp_path / "left-open").open("w"))

def test_scratch_file():
    tempfile.mkstemp(prefix="left-lying")

def test_nothing():
    pass
"""


def test_leftovers(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests")
    shutil.copy(TESTS.parent / "pyproject.toml", tmp_path)
    (tmp_path / "tests/test_leaving.py").write_text(CONTENT)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != RECORD_VARIABLE},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "4 passed" in done.stdout
    assert "3 errors" in done.stdout
    for name in ("left-over", "left-open", "left-lying"):
        assert name in done.stdout
