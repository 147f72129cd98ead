"""One command plays a configuration: plan and rivals, first and later evaluations, and a table.

What they take is not looked at: only that every way has been played, with the same bits.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scipy")

SCRIPT = Path(__file__).with_name("campaign.py")


def test_tiny(tmp_path):
    written = tmp_path / "found.json"
    command = [sys.executable, str(SCRIPT), "--only", "tiny", "--json", str(written)]
    command += ["--folder", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(written.read_text())["runs"]
    assert not row["failure"]
    assert not row["found"]["differing"]
    ways = {"planned", *row["found"]["rivals"]}
    assert {"Revolve 1", "Revolve 4", "Mixed 16"} <= ways
    assert ways == set(row["found"]["times"]["by_way"]) == set(row["firsts"])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| tiny")]
    assert line.count("|") == 8
