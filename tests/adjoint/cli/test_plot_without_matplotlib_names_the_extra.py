"""Without matplotlib, `--plot` says how to install it, and the command works without --plot."""

import sys

import pytest

from adjoint import cli

ARGUMENTS = ["plan", "--steps=100", "--state=1 MiB", "--memory=20 MiB"]


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("adjoint.plots.", "matplotlib"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.mark.usefixtures("without_matplotlib")
def test_plot_is_refused_at_once(tmp_path, capsys):
    assert cli.main([*ARGUMENTS, f"--plot={tmp_path / 'plan.png'}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert 'pip install "adjoint[plot]"' in printed.err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_matplotlib")
def test_the_table_is_not(capsys):
    assert cli.main(ARGUMENTS) == 0
    assert "Mixed" in capsys.readouterr().out
