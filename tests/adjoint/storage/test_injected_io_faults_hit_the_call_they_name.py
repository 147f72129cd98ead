"""The library that makes system calls fail hits the call that it was given, and no other."""

import errno
import subprocess
import sys

import pytest
from io_faults import IoFaults

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux")

PROGRAM = """
import os, sys
def attempt(call, *arguments):
    try:
        print(call(*arguments))
    except OSError as error:
        print(error.errno)
folder, other = sys.argv[1:]
elsewhere = os.open(other, os.O_RDWR | os.O_CREAT)
file = os.open(folder + "/a", os.O_RDWR | os.O_CREAT)
for _ in range(2):
    os.pwrite(elsewhere, b"12345678", 0)
    attempt(os.pwrite, file, b"12345678", 0)
attempt(os.pread, file, 8, 0)
attempt(os.posix_fallocate, file, 0, 4096)
attempt(os.ftruncate, file, 6)
attempt(os.fsync, file)
attempt(os.rename, folder + "/a", folder + "/b")
"""

CALLS = ["open", "write", "write", "read", "fallocate", "ftruncate", "fsync", "rename"]
RIGHT = ["8", "8", "b'12345678'", "None", "None", "None", "None"]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "counted"
    folder.mkdir()

    def run(**faults):
        plan = IoFaults(folder, **faults)
        done = subprocess.run(
            [sys.executable, "-S", "-E", "-c", PROGRAM, str(folder), str(tmp_path / "other")],
            env=plan.environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout.split("\n")[:-1], plan.calls(tmp_path)

    return run


def test_calls_are_counted_without_a_fault(run):
    code, said, calls = run()
    assert (code, said) == (0, RIGHT)
    assert [call.kind for call in calls] == CALLS
    assert [call.number for call in calls] == list(range(1, 9))
    assert not any(call.is_fault for call in calls)


@pytest.mark.parametrize("number", range(2, 9))
def test_an_error_hits_one_call(run, number):
    code, said, calls = run(first=number, what=errno.EDQUOT)
    assert code == 0
    expected = list(RIGHT)
    expected[number - 2] = str(errno.EDQUOT)
    if number == 7:  # the file was truncated before, fsync fails, the rest goes on
        assert said == expected
    assert said[number - 2] == str(errno.EDQUOT)
    assert [call.number for call in calls if call.is_fault] == [number]


def test_only_calls_of_a_kind_and_size_are_counted(run):
    _, said, calls = run(kinds="write,fallocate", first=2, count=2, what=errno.ENOSPC)
    assert [call.kind for call in calls] == ["write", "write", "fallocate"]
    assert (said[1], said[3]) == (str(errno.ENOSPC),) * 2
    assert len(run(kinds="write", least_bytes=9)[2]) == 0


def test_a_short_count(run):
    assert run(kinds="write", first=1, what="short")[1][:2] == ["4", "8"]
    assert run(kinds="read", first=1, what="short")[1][2] == "b'1234'"


def test_a_kill(run):
    code, said, _ = run(kinds="fsync", first=1, what="kill")
    assert code == -9
    assert said == []  # what was printed was in Python's buffer
