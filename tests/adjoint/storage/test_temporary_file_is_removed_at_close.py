"""A temporary file has a name of its own and is gone after use, error or not; a named one stays."""

import numpy as np
import pytest

from adjoint.parallel import communicator
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(10)})
ONE_RANK = communicator(None)


def test_removed(tmp_path):
    with (
        SnapshotFile.temporary(tmp_path, ONE_RANK, LAYOUT, 2, b"") as one,
        SnapshotFile.temporary(tmp_path, ONE_RANK, LAYOUT, 2, b"") as other,
    ):
        assert one.path != other.path
        assert len(list(tmp_path.iterdir())) == 2
    assert not list(tmp_path.iterdir())


def test_removed_after_an_error(tmp_path):
    with pytest.raises(KeyError), SnapshotFile.temporary(tmp_path, ONE_RANK, LAYOUT, 2, b""):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_closing_twice_does_not_remove_a_successor(tmp_path):
    file = SnapshotFile.temporary(tmp_path, ONE_RANK, LAYOUT, 2, b"")
    file.close()
    SnapshotFile.create(file.path, ONE_RANK, LAYOUT, 2, b"").close()
    file.close()
    assert len(list(tmp_path.iterdir())) == 1


def test_named_file_is_kept(tmp_path):
    SnapshotFile.create(tmp_path / "run.h5", ONE_RANK, LAYOUT, 2, b"").close()
    assert (tmp_path / "run.h5").exists()
