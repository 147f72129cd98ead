"""A closed pipe ends a command without a word; a full device is one line, and no traceback."""

import os
import subprocess
import sys

import pytest

PLAN = ["plan", "--steps=1e4", "--state=1 MiB", "--memory=64 MiB", "--step=20 ms"]
SIGPIPE = 141
"""The exit code of a shell's command that the signal has ended."""


def start(arguments, **streams):
    return subprocess.Popen([sys.executable, "-m", "adjoint", *arguments], **streams)


@pytest.mark.parametrize("arguments", [PLAN, ["plan", "--help"], ["--version"]])
def test_a_pipe_that_nobody_reads(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    process = start(arguments, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == SIGPIPE


@pytest.mark.parametrize("arguments", [PLAN, [*PLAN, "--json"], ["--help"]])
def test_a_full_device(arguments):
    with open("/dev/full", "wb") as full:
        process = start(arguments, stdout=full, stderr=subprocess.PIPE)
        said = process.communicate(timeout=60)[1]
    assert said == b"adjoint: cannot write the output: No space left on device\n"
    assert process.returncode == 2


def test_an_error_on_a_full_device():
    with open("/dev/full", "wb") as full:
        process = start(["inspect", "/dev/zero"], stdout=subprocess.PIPE, stderr=full)
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == 2


def test_the_version():
    process = start(["--version"], stdout=subprocess.PIPE)
    assert process.communicate(timeout=60)[0] == b"adjoint 0.1.0\n"
    assert process.returncode == 0


def test_a_name_that_the_terminal_has_no_letters_for(tmp_path):
    folder = tmp_path / "Zürich-東京"
    folder.mkdir()
    path = folder / "run.json"
    path.write_text('[{"ph": "X", "name": "Schritt µ", "ts": 0, "dur": 5, "pid": 0}]')
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start(["trace", str(path)], stdout=subprocess.PIPE, env=environment)
    said = process.communicate(timeout=60)[0].decode("ascii")
    assert r"Z\xfcrich-\u6771\u4eac" in said
    assert process.returncode == 0
