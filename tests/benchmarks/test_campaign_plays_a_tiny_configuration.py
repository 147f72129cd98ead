"""One command plays a configuration: plan and rivals, first and later evaluations, and a table.

What they take is not looked at: only that every way has been played, with the same bits, and that
the same command does not play again what it finds in its file.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scipy")

SCRIPT = Path(__file__).with_name("campaign.py")


def played(folder, written, seconds):
    command = [sys.executable, str(SCRIPT), "--only", "tiny", "--json", str(written)]
    command += ["--folder", str(folder), "--seconds", str(seconds)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| tiny")]
    assert line.count("|") == 8
    return json.loads(written.read_text())["runs"]["tiny"]


def test_tiny(tmp_path):
    written = tmp_path / "found.json"
    row = played(tmp_path, written, 200)
    assert not row["failure"]
    assert not row["found"]["differing"]
    rivals = set(row["found"]["rivals"])
    times = row["found"]["times"]
    assert {"Revolve 1", "Revolve 4", "Mixed 16"} <= rivals
    assert {"planned", *rivals} == {*times["by_way"], *times["dropped"]}
    assert "planned" in row["firsts"]
    assert all(len(taken) == 3 for taken in row["firsts"].values())
    assert played(tmp_path, written, 200) == row
