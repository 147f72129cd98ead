"""A state is returned only if it is, bit for bit, the one written as that step."""

import h5py
import numpy as np
import pytest
import snapshot_files
from snapshot_files import entries, note

from adjoint import SnapshotFileError, TransferError, open_snapshots
from adjoint.storage import reader


@pytest.fixture
def states(rng):
    return {step: [{"u": rng.random(600)}, {"u": rng.random(80)}] for step in (0, 10, 20)}


@pytest.fixture
def path(states, tmp_path):
    snapshot_files.make(tmp_path / "run.h5", states)
    return tmp_path / "run.h5"


def spoil(path, position):
    """Change one bit of a file."""
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 4]))


def offset_of(path, name):
    with h5py.File(path, "r") as file:
        return file[name].id.get_offset()


def test_changed_bit(path, states):
    row_bytes = 8192 + 4096
    spoil(path, offset_of(path, "snapshots") + row_bytes + 100)
    with open_snapshots(path) as snapshots:
        with pytest.raises(TransferError, match=r"state 10, row 1 .* of rank 0: its checksum"):
            snapshots.read(10, "u")
        np.testing.assert_array_equal(snapshots.read(10, "u", rank=1), states[10][1]["u"])
        np.testing.assert_array_equal(snapshots.read(20, "u"), states[20][0]["u"])
    with open_snapshots(path, verify=False) as snapshots:
        assert (snapshots.read(10, "u") != states[10][0]["u"]).sum() == 1


def test_state_not_written_by_all_ranks(path):
    with h5py.File(path, "r+") as file:
        row = file["index"][1]
        row["sequence"][1] = 17
        file["index"][1] = row
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [0, 20]
        assert snapshots.contents().disagreeing == 1
        with pytest.raises(KeyError, match="no state 10"):
            snapshots.read(10, "u")


def test_the_latest_of_several_rows_of_a_step_counts(path, states, rng):
    later = [{"u": rng.random(600)}, {"u": rng.random(80)}]
    with h5py.File(path, "r+") as file:
        snapshot_files.write_row(file, 5, 10, 99, later)
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [0, 10, 20]
        np.testing.assert_array_equal(snapshots.read(10, "u"), later[0]["u"])
        assert snapshots.contents().stale == 1


def test_states_of_an_earlier_evaluation_are_ignored(states, tmp_path):
    path = tmp_path / "run.h5"
    older, newer, torn = note(evaluation=7), note(evaluation=4), note(evaluation=9)
    for other in ([(5, older)] * 2, [(7, torn), (5, older)], [None, None]):
        # A record that was not written by all ranks does not count: the other one does.
        snapshot_files.make(path, states, evaluation=7, journal=[[(6, newer)] * 2, other])
        with h5py.File(path, "r+") as file:
            snapshot_files.write_row(file, 2, 20, 3, states[20], evaluation=4)
        with open_snapshots(path) as snapshots:
            assert snapshots.steps == [20]
        path.unlink()


def test_without_a_record_the_last_write_names_the_evaluation(states, tmp_path):
    path = tmp_path / "run.h5"
    snapshot_files.make(path, states, evaluation=7)
    with h5py.File(path, "r+") as file:
        snapshot_files.write_row(file, 1, 40, 99, states[10], evaluation=4)
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [40]


@pytest.mark.parametrize("name", snapshot_files.INDEX.names)
def test_an_entry_that_was_changed_is_dropped(name, path):
    position = offset_of(path, "index") + 2 * snapshot_files.INDEX.itemsize
    spoil(path, position + snapshot_files.INDEX.fields[name][1] + 2)
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [0, 20]
        assert snapshots.contents().damaged_entries == 1


def test_row_overwritten_while_the_file_is_open(path, rng):
    with open_snapshots(path) as snapshots:
        assert snapshots.steps == [0, 10, 20]
        later = [{"u": rng.random(600)}, {"u": rng.random(80)}]
        with h5py.File(path, "r+", locking=False) as file:
            snapshot_files.write_row(file, 1, 35, 99, later)
        with pytest.raises(KeyError, match="no state 10"):
            snapshots.read(10, "u")
        np.testing.assert_array_equal(snapshots.read(35, "u"), later[0]["u"])
        assert snapshots.steps == [0, 20, 35]


def test_row_cleared_while_it_is_read(path, monkeypatch):
    with open_snapshots(path) as snapshots:
        start, read = offset_of(path, "index"), reader.read_fully

        def cleared_meanwhile(descriptor, data, offset):
            read(descriptor, data, offset)
            with open(path, "r+b") as file:
                file.seek(start)
                file.write(bytes(2 * snapshot_files.INDEX.itemsize))

        monkeypatch.setattr(reader, "read_fully", cleared_meanwhile)
        with pytest.raises(KeyError, match="no state 0"):
            snapshots.read(0, "u")


def test_file_cut_short_while_it_is_open(path):
    with open_snapshots(path) as snapshots:
        end = offset_of(path, "snapshots") + 100
        with open(path, "r+b") as file:
            file.truncate(end)
        with pytest.raises((TransferError, SnapshotFileError), match="cut short"):
            snapshots.read(20, "u")


def test_rows_after_many_empty_ones_are_not_searched(tmp_path, rng):
    states = {3: [{"u": rng.random(4)}]}
    snapshot_files.make(tmp_path / "run.h5", states, rows=20_000)
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file["index"][4000] = entries(8, 9, states[3])
        file["index"][15_000] = entries(9, 10, states[3])
    with open_snapshots(tmp_path / "run.h5") as snapshots:
        assert snapshots.steps == [3, 8]
