"""The example, on a coarse grid, finds the source within its memory and uses the file."""

import re

import pytest

OPTIONS = ["--refine", "0.6", "--steps", "300", "--iterations", "5", "--memory", "400 kB"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_example):
    folder = tmp_path_factory.mktemp("example")
    done = run_example("tsunami_source.py", OPTIONS, folder, ranks=2)
    return done, folder


@pytest.mark.needs("mpirun")
def test_the_misfit_falls_and_the_source_is_found(run):
    done, _ = run
    first, last = map(float, re.search(r"misfit +(\S+) -> (\S+) ", done.stdout).groups())
    assert last < 0.4 * first
    assert float(re.search(r"true one (\S+)", done.stdout)[1]) > 0.6


@pytest.mark.needs("mpirun")
def test_it_prints_what_it_did(run):
    done, _ = run
    for text in ("trajectory", "memory for states", "peak memory", "to file", "recomputation"):
        assert text in done.stdout
    assert "iteration" in done.stderr, "there is no progress bar"


@pytest.mark.needs("mpirun")
def test_the_picture_is_drawn_and_nothing_else_is_left(run):
    _, folder = run
    assert [path.name for path in folder.iterdir()] == ["tsunami_source.png"]
    assert (folder / "tsunami_source.png").read_bytes().startswith(b"\x89PNG")
