"""The example, on a coarse plate, finds the inclusions within its memory."""

import re

import pytest

pytest.importorskip("petsc4py")
pytest.importorskip("scipy")

OPTIONS = ["--cells", "20", "--steps", "40", "--iterations", "12", "--memory", "40 kB"]
OF_PETSC = ["-ksp_type", "cg", "-ksp_converged_reason"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_example):
    folder = tmp_path_factory.mktemp("example")
    options = [*OPTIONS, *OF_PETSC]
    done = run_example("heat_conductivity.py", options, folder, ranks=2)
    return done, folder


@pytest.mark.needs("mpirun")
def test_the_misfit_falls_and_the_inclusions_are_found(run):
    done, _ = run
    first, last = map(float, re.search(r"misfit +(\S+) -> (\S+) ", done.stdout).groups())
    assert last < 0.4 * first
    assert float(re.search(r"true one (\S+)", done.stdout)[1]) > 0.8


@pytest.mark.needs("mpirun")
def test_it_prints_what_it_did_and_takes_options_of_petsc(run):
    done, _ = run
    for text in ("trajectory", "memory for states", "recomputation", "solve converged"):
        assert text in done.stdout
    assert "iteration" in done.stderr, "there is no progress bar"


@pytest.mark.needs("mpirun")
def test_the_picture_is_drawn_and_nothing_else_is_left(run):
    _, folder = run
    assert [path.name for path in folder.iterdir()] == ["heat_conductivity.png"]
    assert (folder / "heat_conductivity.png").read_bytes().startswith(b"\x89PNG")
