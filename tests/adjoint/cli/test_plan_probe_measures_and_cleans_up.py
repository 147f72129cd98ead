"""`adjoint plan --probe` measures states of the given size and removes its files."""

import json

import pytest

from adjoint import cli
from adjoint.measurement import constants, synthetic

ARGUMENTS = ["plan", "--steps=1000", "--memory=1 GB", "--step=1", "--json"]


@pytest.mark.parametrize("state", ["1 B", "1 kB", "3 MB"])
def test_states_of_any_size(state, tmp_path, capsys):
    assert cli.main([*ARGUMENTS, f"--state={state}", f"--probe={tmp_path}"]) == 0
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert costs["write"] > 0
    assert costs["read"] > 0
    assert costs["store"] == costs["restore"] > 0
    assert costs["slowdown"] >= 1
    assert not list(tmp_path.iterdir())


def test_a_large_state_is_extrapolated(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "MAX_SYNTHETIC_BYTES", 1 << 20)
    large = synthetic.probe_file(tmp_path, 1 << 40)
    # a terabyte was not written, yet it would take more than ten seconds
    assert large.write > 10
    assert large.store > 10
    assert large.read > 10


def test_the_current_folder_is_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*ARGUMENTS, "--state=1 kB", "--probe"]) == 0
    assert "measured here" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_given_costs_take_precedence_over_measured_ones(tmp_path, capsys):
    given = ["--state=1 kB", f"--probe={tmp_path}", "--write=1 kB/s", "--slowdown=3"]
    assert cli.main([*ARGUMENTS, *given]) == 0
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert (costs["write"], costs["slowdown"]) == (1.0, 3.0)
    assert costs["read"] < 1


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main([*ARGUMENTS, "--state=1 kB", f"--probe={tmp_path / 'file'}"]) == 2
    assert "not a folder" in capsys.readouterr().err
