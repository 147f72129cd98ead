"""``adjoint inspect --verify`` names every part that was changed, with exit code 1."""

import json

import h5py
import numpy as np
import pytest
import snapshot_files
from snapshot_files import note

from adjoint import cli


@pytest.fixture
def path(tmp_path, rng):
    """A file of two ranks in which two parts have been changed."""
    states = {step: [{"u": rng.random(700)}, {"u": rng.random(10)}] for step in (0, 4, 8)}
    journal = [[(4, note()), (4, note())], [None, None]]
    path = tmp_path / "run.h5"
    snapshot_files.make(path, states, journal=journal)
    with h5py.File(path, "r+") as file:
        file["snapshots"][1, 5599] ^= 1  # the last byte of rank 0's part
        file["snapshots"][2, 8192] ^= 128  # the first one of rank 1's
        file["snapshots"][0, 5600] ^= 1  # a byte that belongs to no array
    return path


def test_the_parts_are_named(path, capsys):
    assert cli.main(["inspect", str(path), "--verify"]) == 1
    text = capsys.readouterr().out
    assert "do NOT match for 2 parts" in text
    assert "state 4, row 1, rank 0" in text
    assert "state 8, row 2, rank 1" in text
    assert cli.main(["inspect", str(path), "--verify", "--json"]) == 1
    bad = json.loads(capsys.readouterr().out)["bad"]
    assert [(part["step"], part["rank"]) for part in bad] == [(4, 0), (8, 1)]
    assert "its checksum is 0x" in bad[0]["reason"]


def test_without_verify_the_damage_is_not_seen(path):
    assert cli.main(["inspect", str(path)]) == 0


def test_a_journal_without_an_intact_record(tmp_path, capsys):
    path = tmp_path / "run.h5"
    journal = [[(2, note("forward", 3))], [(1, note("forward", 1))]]
    snapshot_files.make(path, {0: [{"u": np.ones(4)}]}, journal=journal)
    assert cli.main(["inspect", str(path), "--verify"]) == 1
    assert capsys.readouterr().out.count("NOT intact") == 2


def test_a_part_of_which_the_cost_is_not_known(tmp_path, rng, capsys):
    parts, path = [{"u": rng.random(700)}], tmp_path / "run.h5"
    snapshot_files.make(path, {4: parts})
    with h5py.File(path, "r+") as file:
        file["index"][0] = snapshot_files.entries(4, 1, parts, cost=np.nan)
    assert cli.main(["inspect", str(path), "--verify"]) == 0
    with h5py.File(path, "r+") as file:
        file["snapshots"][0, 8] ^= 1
    assert cli.main(["inspect", str(path), "--verify"]) == 1
    assert "state 4, row 0, rank 0" in capsys.readouterr().out
