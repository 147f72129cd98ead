"""``adjoint probe`` prints tables of all engines, or the same as JSON, and removes its files."""

import json

import pytest

from adjoint import cli
from adjoint.reporting import engine_table


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Run as one process does, whoever has started it."""
    for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def rows(monkeypatch):
    """What is measured, which is not measured twice."""
    kept, probe_engines = {}, engine_table.probe_engines

    def measured_once(folder, state_bytes, comm):
        if not kept:
            kept[folder] = probe_engines(folder, state_bytes, comm)
        return kept[folder]

    monkeypatch.setattr(engine_table, "probe_engines", measured_once)
    return kept


def test_the_table_and_json(rows, tmp_path, capsys):
    arguments = ["probe", str(tmp_path), "--state", "4 kB", "20 kB"]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert cli.main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    (measured,) = rows.values()
    assert [row["state_bytes"] for row in answer] == [row.state_bytes for row in measured]
    assert {row["state_bytes"] for row in answer} == {4_000, 20_000}
    for size in ("3.9 KiB", "19.5 KiB"):
        assert f"States of {size}, computation and transfers on 1 core" in text
    for row in measured:
        if row.used:
            assert row.reason in text


def test_bad_arguments(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["probe", str(tmp_path / "file")]) == 2
    assert cli.main(["probe", str(tmp_path), "--state", "much"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 2
    assert "not a folder" in said.err
