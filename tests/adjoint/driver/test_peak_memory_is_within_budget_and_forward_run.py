"""With 64 MiB allowed, a trajectory of 0.5 or of 5 GB takes no more memory at its peak.

The bound is the budget and 1.2 times what the same program takes when it only steps forward. Each
figure is the peak resident memory of a process of its own, which `tests/benchmarks/peak_memory.py`
measures; it shows 50 GB too.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "peak_memory.py"
BUDGET = 64 << 20
STATE_BYTES = 2_000_000


def measured(mode, num_steps, folder):
    command = [sys.executable, str(SCRIPT), "--measure", mode, str(num_steps)]
    command += ["64 MiB", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=110)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def forward(tmp_path_factory):
    return measured("forward", 50, tmp_path_factory.mktemp("forward"))["peak"]


@pytest.mark.parametrize(("mode", "gigabytes"), [("memory", 0.5), ("file", 0.5), ("file", 5.0)])
def test_peak(mode, gigabytes, forward, tmp_path):
    found = measured(mode, int(gigabytes * 1e9 / STATE_BYTES), tmp_path)
    assert found["memory"] <= BUDGET
    assert found["peak"] <= BUDGET + 1.2 * forward
