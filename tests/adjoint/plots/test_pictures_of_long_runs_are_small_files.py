"""A picture of a million actions is drawn in any format, and its file stays small."""

import pytest

from adjoint import cli

matplotlib = pytest.importorskip("matplotlib")
drawing = pytest.importorskip("adjoint.plots.schedule")


def plot(path, steps, *more):
    arguments = [f"--steps={steps}", "--state=1 MiB", "--memory=128 MiB", "--step=20 ms", *more]
    assert cli.main(["plan", *arguments, f"--plot={path}"]) == 0
    size = path.stat().st_size
    assert 10_000 < size < 2_000_000


def test_in_memory(tmp_path):
    plot(tmp_path / "plan.png", 10**5, "--leaf=10")


def test_with_a_file(tmp_path):
    plot(tmp_path / "plan.svg", 10**5, "--leaf=10", "--write=1 GB/s")


def test_a_schedule_too_long_to_simulate_is_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "MAX_ACTIONS", 50_000)
    path = tmp_path / "plan.svg"
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot(path, 10**9, "--leaf=10")
    assert "shortened from 1,000,000,000 to 20,000 steps" in path.read_text()
