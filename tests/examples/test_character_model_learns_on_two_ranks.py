"""The example, at small sizes, learns within its memory, with the same weights on both ranks."""

import re

import pytest

OPTIONS = ["--hidden", "32", "--batch", "4", "--lengths", "20", "300", "--characters", "1600"]
OPTIONS += ["--min-updates", "3", "--memory", "600 kB", "--leaf", "20", "--sample", "20"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_example):
    folder = tmp_path_factory.mktemp("example")
    variables = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiler")}
    done = run_example("character_model.py", OPTIONS, folder, ranks=2, variables=variables)
    return done.stdout, folder


pytestmark = [pytest.mark.needs("mpirun"), pytest.mark.needs("torch")]


def test_it_learns(run):
    output, _ = run
    learned = re.findall(r"bits/character +(\S+) -> (\S+); held-out text (\S+)", output)
    assert len(learned) == 2
    (first, last, held_out), (_, _, held_out_at_the_end) = learned
    assert float(last) < 0.9 * float(first)
    assert float(held_out_at_the_end) < 1.1 * float(held_out) < float(first)


def test_it_keeps_to_its_memory(run):
    output, _ = run
    used, graph = re.findall(r"memory +(\S+) KiB per rank; autograd would keep (\S+) MiB", output)[
        -1
    ]
    assert float(used) < 600e3 / 1024 < 1024 * float(graph)


def test_it_writes_and_draws(run):
    output, folder = run
    assert "the same on all ranks" in output
    assert "NOT" not in output
    assert len(re.findall(r"it writes: 'The .{16,}'|it writes: \"The .{16,}\"", output)) == 2
    assert "accuracy" in output
    assert (folder / "character_model.png").read_bytes().startswith(b"\x89PNG")
