"""Anything at the path but a file of this problem stays as it is, and the error names it."""

import os

import h5py
import numpy as np
import pytest
import snapshot_files

from adjoint.errors import SnapshotFileError
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file, rows_at
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(10)})
ONE_RANK = communicator(None)


def make(path, layout=LAYOUT, rows=4, problem="mine"):
    create_file(path, ONE_RANK, FileSpec(layout, problem), rows).close()


def is_text(path):
    path.write_text("results of three months\n")


def is_empty(path):
    path.touch()


def is_hdf5(path):
    with h5py.File(path, "w") as file:
        file["snapshots"] = np.arange(9)


def is_cut_off(path):
    make(path)
    os.truncate(path, 2000)


def is_another_problem(path):
    make(path, problem="yours")


def has_another_state(path):
    make(path, layout=StateLayout.of({"u": np.zeros(10, np.float32)}))


def has_other_names(path):
    make(path, layout=StateLayout.of({"v": np.zeros(10)}))


def is_of_more_ranks(path):
    snapshot_files.make(path, {0: [{"u": np.zeros(10)}] * 2})


def is_of_a_later_version(path):
    make(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99


def is_open_to_others(path):
    make(path)
    path.chmod(0o644)


@pytest.mark.parametrize(
    ("occupy", "complaint"),
    [
        (is_text, "not an HDF5 file"),
        (is_empty, "not an HDF5 file"),
        (is_hdf5, "not a snapshot file"),
        (is_cut_off, "cannot be opened as HDF5"),
        (is_another_problem, r"another problem \(yours, not mine\)"),
        (has_another_state, r"other arrays \(state 'u' is float32"),
        (has_other_names, r"other arrays \(state 'u' is missing"),
        (is_of_more_ranks, "on 2 ranks, not on 1"),
        (is_of_a_later_version, "format version 99"),
        (is_open_to_others, "open to other users"),
    ],
)
def test_another_file_is_refused_and_kept(tmp_path, occupy, complaint):
    path = tmp_path / "run.h5"
    occupy(path)
    before = path.read_bytes()
    with pytest.raises(SnapshotFileError, match=complaint) as raised:
        make(path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == before
    with pytest.raises(SnapshotFileError, match=complaint):
        rows_at(path, ONE_RANK, FileSpec(LAYOUT, "mine"))


def test_file_of_another_user_is_refused_and_kept(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    make(path)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    before = path.read_bytes()
    with pytest.raises(SnapshotFileError, match="belongs to another user"):
        rows_at(path, ONE_RANK, FileSpec(LAYOUT, "mine"))
    with pytest.raises(SnapshotFileError, match="belongs to another user"):
        make(path)
    assert path.read_bytes() == before


def test_symbolic_links_are_not_followed(tmp_path):
    target, link, dangling = tmp_path / "target.h5", tmp_path / "link.h5", tmp_path / "dangling.h5"
    make(target)
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "nowhere.h5")
    for path in (link, dangling):
        with pytest.raises(SnapshotFileError, match="symbolic link"):
            make(path)
        with pytest.raises(SnapshotFileError, match="symbolic link"):
            rows_at(path, ONE_RANK, FileSpec(LAYOUT, "mine"))
    assert not (tmp_path / "nowhere.h5").exists()


def test_pipes_are_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SnapshotFileError, match="left as it is"):
        make(pipe)


def test_folders_have_no_rows_and_stay_empty(tmp_path):
    make(tmp_path)
    assert rows_at(tmp_path, ONE_RANK, FileSpec(LAYOUT, "mine")) is None
    assert not list(tmp_path.iterdir())


def test_rows_at_creates_and_changes_nothing(tmp_path):
    path = tmp_path / "run.h5"
    rows_at(path, ONE_RANK, FileSpec(LAYOUT, "mine"))
    assert not path.exists()
    make(path)
    before = path.read_bytes()
    rows_at(path, ONE_RANK, FileSpec(LAYOUT, "mine"))
    assert path.read_bytes() == before
