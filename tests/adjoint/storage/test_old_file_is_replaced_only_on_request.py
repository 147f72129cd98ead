"""`overwrite=True` replaces one's own file of another problem, at the last moment; nothing else."""

import h5py
import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.errors import SnapshotFileError
from adjoint.parallel import communicator
from adjoint.schedules import Revolve
from adjoint.storage import opening
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file, rows_at
from adjoint.storage.state_layout import StateLayout

ONE_RANK = communicator(None)


def spec(size=20, fingerprint="mine"):
    return FileSpec(StateLayout.of({"u": np.zeros(size)}), fingerprint)


def test_another_grid(tmp_path):
    path = tmp_path / "run.h5"
    create_file(path, ONE_RANK, spec(), 3).close()
    with pytest.raises(SnapshotFileError, match="overwrite=True"):
        rows_at(path, ONE_RANK, spec(21))
    with pytest.raises(SnapshotFileError, match="overwrite=True"):
        create_file(path, ONE_RANK, spec(21), 3)
    assert rows_at(path, ONE_RANK, spec(21), overwrite=True) is None
    create_file(path, ONE_RANK, spec(21), 5, overwrite=True).close()
    assert rows_at(path, ONE_RANK, spec(21)) == 5


def test_another_number_of_steps(tmp_path):
    path = tmp_path / "run.h5"
    for steps in (30, 40):
        result = adjoint.gradient(
            Pendulums(3, steps), steps, schedule=Revolve(steps, 5), file=path, overwrite=True
        )
        expected = adjoint.gradient(Pendulums(3, steps), steps, schedule=Revolve(steps, 5))
        assert result.cost == expected.cost
    with pytest.raises(SnapshotFileError, match="overwrite=True"):
        adjoint.gradient(Pendulums(3, 30), 30, schedule=Revolve(30, 5), file=path)


def is_text(path):
    path.write_text("results of three months\n")


def is_hdf5(path):
    with h5py.File(path, "w") as file:
        file["u"] = np.arange(9)


def is_of_another_version(path):
    create_file(path, ONE_RANK, spec(), 3).close()
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99


def is_open_to_others(path):
    create_file(path, ONE_RANK, spec(), 3).close()
    path.chmod(0o640)


@pytest.mark.parametrize("occupy", [is_text, is_hdf5, is_of_another_version, is_open_to_others])
def test_no_other_file(tmp_path, occupy):
    path = tmp_path / "run.h5"
    occupy(path)
    before = path.read_bytes()
    with pytest.raises(SnapshotFileError, match="left as it is"):
        create_file(path, ONE_RANK, spec(21), 3, overwrite=True)
    assert path.read_bytes() == before


def test_the_old_one_stays_if_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    create_file(path, ONE_RANK, spec(), 3).close()
    before = path.read_bytes()

    def fail(path, structure):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(opening, "write_structure", fail)
    with pytest.raises(SnapshotFileError, match="Input/output error"):
        create_file(path, ONE_RANK, spec(21), 3, overwrite=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.h5"]
