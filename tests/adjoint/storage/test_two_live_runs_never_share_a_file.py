"""A file that a live run uses is refused, with its host and process; after a kill it is not."""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from adjoint.errors import SnapshotFileError
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file, rows_at
from adjoint.storage.reader import open_snapshots
from adjoint.storage.state_layout import StateLayout

SPEC = FileSpec(StateLayout.of({"u": np.zeros(30)}), "mine")
ONE_RANK = communicator(None)

PROGRAM = """
import os, subprocess, sys, time
path, child = sys.argv[1:3]
sys.path[:0] = sys.argv[3:]
import numpy as np
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout
spec = FileSpec(StateLayout.of({"u": np.zeros(30)}), "mine")
file = create_file(path, communicator(None), spec, 3)
number = 0
if child == "fork":
    number = os.fork()
    if number == 0:
        file.close()  # not the parent's lock
        time.sleep(60)
        os._exit(0)
    time.sleep(0.3)
elif child == "exec":
    number = subprocess.Popen(["sleep", "60"], close_fds=False).pid
print(number, flush=True)
time.sleep(60)
"""


@pytest.fixture
def running(tmp_path):
    """Return a function that starts another run; it returns its process and its child's number."""
    started = []

    def start(child=""):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "run.h5"), child, *sys.path],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SLURM_JOB_ID": "4711"},
        )
        started.append(process)
        number = int(process.stdout.readline())
        return process, number

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def make(path, rows=3):
    return create_file(path, ONE_RANK, SPEC, rows)


def test_refused_with_host_process_and_job(tmp_path, running):
    process, _ = running()
    path = tmp_path / "run.h5"
    for use in (make, lambda path: rows_at(path, ONE_RANK, SPEC)):
        with pytest.raises(SnapshotFileError, match="is in use by") as refused:
            use(path)
        assert f"process {process.pid} on host {os.uname().nodename!r}" in str(refused.value)
        assert "4711" in str(refused.value)
    with open_snapshots(path) as snapshots:  # reading takes no lock
        assert not snapshots.steps


@pytest.mark.parametrize("child", ["", "fork", "exec"])
def test_killed_run_stops_nobody_though_its_child_lives(tmp_path, running, child):
    process, number = running(child)
    path = tmp_path / "run.h5"
    with pytest.raises(SnapshotFileError, match="in use"):
        make(path)
    process.kill()
    process.wait()
    try:
        assert (tmp_path / "run.h5.lock").exists()
        make(path).close()
        assert os.listdir(tmp_path) == ["run.h5"]
    finally:
        if number:
            os.kill(number, signal.SIGKILL)


def test_twice_in_one_process_says_so(tmp_path):
    path = tmp_path / "run.h5"
    with make(path), pytest.raises(SnapshotFileError, match="this process, which has not closed"):
        make(path)
    make(path).close()


@pytest.mark.parametrize("text", ["my own notes", '{"mine": 1}', "[1]"])
def test_lock_file_of_somebody_else_is_left_alone(tmp_path, text):
    path = tmp_path / "run.h5.lock"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SnapshotFileError, match="not a lock of a snapshot file"):
        make(tmp_path / "run.h5")
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["run.h5.lock"]


def test_file_in_the_way_of_the_new_one_is_left_alone(tmp_path):
    path = tmp_path / "run.h5.new"
    path.write_text("mine")
    with pytest.raises(SnapshotFileError, match=r"run\.h5\.new.* is taken"):
        make(tmp_path / "run.h5")
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["run.h5.new"]


def test_without_locks_one_line_says_what_is_not_detected(tmp_path, monkeypatch, caplog):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING, "adjoint"):
        make(tmp_path / "run.h5").close()
    assert len(caplog.records) == 1
    assert "between nodes, are not detected" in caplog.text
