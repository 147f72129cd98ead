"""The example, on short sequences: exact gradients learn the task, truncated ones do not."""

import re

import pytest

OPTIONS = {
    "steps": 300,
    "reading": 30,
    "window": 100,
    "long-steps": 1500,
    "batch": 48,
    "iterations": 40,
    "memory": "3 MiB",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, run_example):
    folder = tmp_path_factory.mktemp("example")
    options = [text for name, value in OPTIONS.items() for text in (f"--{name}", str(value))]
    done = run_example("long_memory.py", options, folder, python=("-W", "error"))
    return done, folder


def test_only_exact_gradients_beat_predicting_the_mean(run):
    done, _ = run
    guessing = float(re.search(r"predicting the mean: (\S+)", done.stdout)[1])
    ways = re.findall(r"(exact|truncated) +(\S+) -> (\S+), lowest (\S+)", done.stdout)
    errors = {name: (float(last), float(least)) for name, _, last, least in ways}
    assert errors["exact"][0] < 0.15 * guessing
    assert errors["truncated"][1] > 0.6 * guessing


def test_it_goes_further_within_its_memory_and_shows_progress(run):
    done, _ = run
    used = [float(mebibytes) for mebibytes in re.findall(r"(\S+) MiB for states", done.stdout)]
    assert "over 1,500 steps" in done.stdout
    assert len(used) == 2
    assert max(used) < 3
    for text in ("exact:", "truncated:", "iteration", "step/s"):
        assert text in done.stderr


def test_the_picture_is_drawn_and_nothing_else_is_left(run):
    _, folder = run
    assert [path.name for path in folder.iterdir()] == ["long_memory.png"]
    assert (folder / "long_memory.png").read_bytes().startswith(b"\x89PNG")
