"""No folder, a full disk, a limit on files: the error says so, and no file is left behind."""

import resource
import subprocess

import numpy as np
import pytest

from adjoint.errors import SnapshotFileError
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(2**17)})
ONE_RANK = communicator(None)


def make_both_ways(folder, complaint):
    with pytest.raises(SnapshotFileError, match=complaint):
        create_file(folder / "run.h5", ONE_RANK, FileSpec(LAYOUT, ""), 1000)
    with pytest.raises(SnapshotFileError, match=complaint):
        create_file(folder, ONE_RANK, FileSpec(LAYOUT, ""), 1000)


def test_no_folder(tmp_path):
    with pytest.raises(SnapshotFileError, match=r"there is no folder .*missing: create it"):
        create_file(tmp_path / "missing" / "run.h5", ONE_RANK, FileSpec(LAYOUT, ""), 1000)


def test_folder_that_cannot_be_written_to():
    with pytest.raises(SnapshotFileError, match=r"/proc/sys/run\.h5"):
        create_file("/proc/sys/run.h5", ONE_RANK, FileSpec(LAYOUT, ""), 1)


def test_limit_on_the_size_of_files(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    try:
        make_both_ways(tmp_path, "too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_full_disk(tmp_path):
    options = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(tmp_path)]
    if subprocess.run(options, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        make_both_ways(tmp_path, "No space left")
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
