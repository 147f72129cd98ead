"""`trace`, `inspect` and `open_snapshots` end with one line on files that are nothing of theirs."""

import os

import pytest

import adjoint
from adjoint import cli
from adjoint.reporting import trace_file


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def folder(path):
    path.mkdir()


def empty(path):
    path.touch()


def longer_than_memory(path):
    path.touch()
    os.truncate(path, 1 << 42)


def zeros(path):
    path.touch()
    os.truncate(path, 1 << 29)


def binary(path):
    path.write_bytes(bytes(range(255, 0, -1)) * 4000)


def deep_objects(path):
    path.write_text('[{"a":' * 300_000)


def deep_lists(path):
    path.write_text("[" * 3_000_000)


def long_number(path):
    path.write_text(f"[{'9' * 1_000_000}]")


def truncated(path):
    path.write_text('{"traceEvents": [{"ph": "X", "name": "Advance", "ts": 0, "dur": 1, "pi')


FILES = (
    *(pipe, endless, folder, empty, longer_than_memory, zeros, binary, deep_objects, deep_lists),
    *(long_number, truncated),
)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", FILES)
def test_refused_by_the_commands(make, tmp_path, capsys):
    path = tmp_path / "run"
    make(path)
    for command in ("trace", "inspect"):
        assert cli.main([command, str(path)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("adjoint: ")
        assert said.err.count("\n") == 1
        assert len(said.err) < 1100


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", FILES)
def test_refused_by_open_snapshots(make, tmp_path):
    make(tmp_path / "run")
    with pytest.raises(adjoint.SnapshotFileError, match="run"):
        adjoint.open_snapshots(tmp_path / "run")


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", b"no/such/file"])
def test_a_path_that_is_none(path):
    with pytest.raises(adjoint.SnapshotFileError, match="cannot be opened"):
        adjoint.open_snapshots(path)


@pytest.mark.timeout(60)
def test_many_ranks_and_kinds_take_a_line_each_up_to_a_limit(tmp_path, capsys):
    """In time that grows with the events, not with ranks times kinds."""
    path = tmp_path / "run.json"
    events = (
        f'{{"ph": "X", "name": "{"n" * 300}{k}", "ts": {k}, "dur": 5, "pid": {k}}}'
        for k in range(9_000)
    )
    path.write_text(f"[{','.join(events)}]")
    assert cli.main(["trace", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "and 8,952 more kinds of actions" in lines
    assert "and 8,984 more ranks" in lines
    assert max(map(len, lines)) < 300


def test_a_trace_that_is_too_long_is_refused_by_its_length(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trace_file, "MAX_TRACE_BYTES", 10)
    (tmp_path / "run.json").write_text('{"traceEvents": []}')
    assert cli.main(["trace", str(tmp_path / "run.json")]) == 2
    assert "at most 10 B can be read" in capsys.readouterr().err
