"""A new file is sparse HDF5 of the documented structure, readable by its owner only."""

import json
import os
import stat

import h5py
import numpy as np
import pytest
import snapshot_files
import xxhash

from adjoint.errors import ArgumentError, StepperError
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"height": np.zeros((5, 7), np.float32), "seed": np.zeros(3, np.uint64)})
ONE_RANK = communicator(None)


def test_structure(tmp_path):
    with create_file(tmp_path / "run.h5", ONE_RANK, FileSpec(LAYOUT, "pendulum"), 6) as made:
        path, row_bytes = made.path, made.placement.row_bytes
    assert row_bytes == 4096
    with h5py.File(path, "r") as file:
        assert set(file) == {"snapshots", "index", "layout"}
        assert (file["snapshots"].shape, file["snapshots"].dtype) == ((6, 4096), np.uint8)
        assert file["snapshots"].chunks is None
        assert file["index"].shape == (6, 1)
        assert file["index"].dtype == snapshot_files.INDEX
        assert not file["index"][...]["sequence"].any()
        text = file["layout"][...].tobytes()
        expected = {"problem": "pendulum", "layouts": [LAYOUT.description()], "ranks": [0]}
        assert json.loads(text) == expected
        assert file.attrs["format_version"] == 3
        assert file.attrs["layout_checksum"] == xxhash.xxh3_64_intdigest(text)


@pytest.mark.parametrize(("state_bytes", "alignment"), [(100, 4096), (3 * 2**20, 2**20)])
def test_rows_are_aligned_in_the_file(tmp_path, state_bytes, alignment):
    layout = StateLayout.of({"u": np.zeros(state_bytes, np.uint8)})
    with create_file(tmp_path / "run.h5", ONE_RANK, FileSpec(layout, ""), 3) as file:
        offsets = [file.placement.offset(row) for row in range(3)]
    assert [offset % alignment for offset in offsets] == [0, 0, 0]
    with h5py.File(file.path, "r") as found:
        assert found["snapshots"].id.get_offset() == offsets[0]


def test_terabyte_takes_no_space(tmp_path):
    layout = StateLayout.of({"u": np.zeros(2**20, np.uint8)})
    with create_file(tmp_path / "run.h5", ONE_RANK, FileSpec(layout, ""), 2**20) as file:
        found = os.stat(file.path)
        assert found.st_size > 2**40
        assert found.st_blocks * 512 < 2**20


def test_only_the_owner_can_read_it(tmp_path):
    before = os.umask(0)
    try:
        with create_file(tmp_path / "run.h5", ONE_RANK, FileSpec(LAYOUT, ""), 1) as file:
            assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o600
    finally:
        os.umask(before)


def test_file_without_rows_or_states_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="at least one state"):
        create_file(tmp_path / "run.h5", ONE_RANK, FileSpec(LAYOUT, ""), 0)
    with pytest.raises(StepperError, match="no rank has any state"):
        create_file(tmp_path / "run.h5", ONE_RANK, FileSpec(StateLayout.of({}), ""), 1)
    assert not list(tmp_path.iterdir())
