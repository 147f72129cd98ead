"""``adjoint inspect`` prints what a file was made with, as text and JSON, and changes nothing."""

import json

import numpy as np
import pytest
import snapshot_files
from snapshot_files import note

from adjoint import cli
from adjoint.reporting.snapshot_summary import as_ranges


@pytest.fixture
def path(tmp_path, rng):
    """A file of two ranks, with states 0, 10, ..., 90, and 93."""
    states = {
        step: [{"height": rng.random((30, 20)), "seed": np.arange(3)}, {"height": rng.random(9)}]
        for step in (*range(0, 100, 10), 93)
    }
    reverse = note("reverse", 97, cost=1.5)
    journal = [[(4, reverse), (4, reverse)], [(5, note("forward", 99)), (3, note())]]
    snapshot_files.make(tmp_path / "run.h5", states, rows=1000, journal=journal)
    return tmp_path / "run.h5"


def printed(capsys, *arguments):
    assert cli.main(["inspect", *map(str, arguments)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_as_text(path, capsys):
    text = printed(capsys, path)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == f"{path}: snapshot file, format 3, written by 2 ranks"
    for expected in (
        "problem by hand",
        "on rank 0: 4.7 KiB",
        "height float64 30 x 20",
        "seed int64 3",
        "on rank 1: 72 B",
        "height float64 9",
        "rows 11 used of 1,000",
        "states 11: 0 ... 90 by 10, 93",
        "journal record 4: in the reverse sweep, at step 97 of 100, cost 3, 2.00 s into the run",
        "checksums not verified (--verify)",
    ):
        assert expected in lines


def test_as_json(path, capsys):
    answer = json.loads(printed(capsys, path, "--json"))
    assert answer["ranks"] == 2
    assert answer["steps"] == [*range(0, 100, 10), 93]
    assert (answer["rows"], answer["rows_used"], answer["rows_stale"]) == (1000, 11, 0)
    assert answer["state_bytes"] == 30 * 20 * 8 + 3 * 8 + 9 * 8 + (-30 * 20 * 8) % 64
    assert [layout["ranks"] for layout in answer["layouts"]] == [[0], [1]]
    assert answer["layouts"][0]["fields"][0]["shape"] == [30, 20]
    (record,) = answer["journal"]
    assert (record["phase"], record["step"], record["cost"]) == ("reverse", 97, 3.0)
    assert answer["file_bytes"] == path.stat().st_size
    assert answer["disk_bytes"] == 512 * path.stat().st_blocks
    assert (answer["verified"], answer["bad"]) == (False, [])


def test_nothing_is_changed(path, capsys):
    before, times = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o400)
    text = printed(capsys, path, "--verify")
    assert "match for all of 11 states" in text
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, times)


def test_a_file_without_journal_or_state(tmp_path, capsys):
    path = tmp_path / "run.h5"
    snapshot_files.make(path, {5: [{"u": np.zeros(3)}]}, leave_out=["steps"])
    text = printed(capsys, path, "--verify")
    assert "none: no run can be resumed" in text
    assert "states     none" in text


def test_control_characters_in_names_are_escaped(tmp_path, capsys):
    path = tmp_path / "run.h5"
    snapshot_files.make(path, {5: [{"\x1b[31mu\nv": np.zeros(3)}]})
    text = printed(capsys, path)
    assert "\x1b" not in text
    assert r"\x1b[31mu\nv" in text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([7, 9], "7, 9"),
        ([0, 1, 2, 3], "0 ... 3"),
        ([0, 5, 10, 11, 12, 13, 40], "0 ... 10 by 5, 11 ... 13, 40"),
        ([1, 2, 4, 6, 8], "1, 2 ... 8 by 2"),
        ([k * k for k in range(40)], "484, 529 and 16 more"),
    ],
)
def test_ranges(numbers, text):
    assert as_ranges(numbers).endswith(text)
