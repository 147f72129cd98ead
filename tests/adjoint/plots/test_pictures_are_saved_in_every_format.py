"""`--plot` saves a figure in the format that the ending of its name says."""

import pytest

from adjoint import cli

pytest.importorskip("matplotlib")
FORMATS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def plot(path, steps, *more):
    arguments = [f"--steps={steps}", "--state=1 MiB", "--memory=6 MiB", "--step=20 ms", *more]
    assert cli.main(["plan", *arguments, f"--plot={path}"]) == 0
    drawn = path.read_bytes()
    assert drawn.startswith(FORMATS[path.suffix])
    assert len(drawn) > 10_000


@pytest.mark.parametrize("ending", FORMATS)
def test_in_memory(ending, tmp_path):
    plot(tmp_path / f"plan{ending}", 50)


def test_with_a_file(tmp_path):
    plot(tmp_path / "plan.png", 50, "--write=1 GB/s", "--disk=1 GB")


def test_a_single_step(tmp_path):
    plot(tmp_path / "plan.png", 1)
