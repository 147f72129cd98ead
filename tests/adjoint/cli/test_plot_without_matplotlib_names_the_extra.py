"""Where matplotlib is absent, `--plot` says how to get it, and the rest works without it."""

import sys

import pytest

from adjoint import cli

ARGUMENTS = ["plan", "--steps=100", "--state=1 MiB", "--memory=20 MiB"]


@pytest.fixture
def without_matplotlib(monkeypatch):
    monkeypatch.delitem(sys.modules, "adjoint.plots.schedule", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.mark.usefixtures("without_matplotlib")
def test_plot_is_refused_at_once(tmp_path, capsys):
    assert cli.main([*ARGUMENTS, f"--plot={tmp_path / 'plan.png'}"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert 'pip install "adjoint[plot]"' in told.err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_matplotlib")
def test_the_table_is_not(capsys):
    assert cli.main(ARGUMENTS) == 0
    assert "Revolve" in capsys.readouterr().out
