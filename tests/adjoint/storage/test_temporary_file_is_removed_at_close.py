"""A temporary file has a unique name and is removed after use or an error; a named file stays."""

import numpy as np
import pytest

from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

SPEC = FileSpec(StateLayout.of({"u": np.zeros(10)}), "")
ONE_RANK = communicator(None)


def test_removed(tmp_path):
    with (
        create_file(tmp_path, ONE_RANK, SPEC, 2) as one,
        create_file(tmp_path, ONE_RANK, SPEC, 2) as other,
    ):
        assert one.path != other.path
        assert len(list(tmp_path.iterdir())) == 2
    assert not list(tmp_path.iterdir())


def test_removed_after_an_error(tmp_path):
    with (
        pytest.raises(KeyError),
        create_file(tmp_path, ONE_RANK, SPEC, 2),
    ):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_closing_twice_does_not_remove_a_later_file(tmp_path):
    file = create_file(tmp_path, ONE_RANK, SPEC, 2)
    file.close()
    create_file(file.path, ONE_RANK, SPEC, 2).close()
    file.close()
    assert len(list(tmp_path.iterdir())) == 1


def test_named_file_is_kept(tmp_path):
    create_file(tmp_path / "run.h5", ONE_RANK, SPEC, 2).close()
    assert (tmp_path / "run.h5").exists()
