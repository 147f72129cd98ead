"""A gradient adds at most its memory budget to what is resident in a forward run, in every family.

Within 5 % and 16 MiB, also where tapes are kept. The peaks are those of processes of their own.
With PyTorch, glibc gives arrays above 64 KiB back in them when they are freed: else the holes
between temporary tensors are counted too, up to 25 MiB here, a different number in each run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "oracles" / "resident_memory.py"
MEMORY = 48 << 20
PATHS = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2] / "benchmarks")]
NEEDS = {"torch": "torch", "petsc": "petsc4py"}
FAMILIES = [
    "function",
    "function, copied",
    "stages",
    "shallow water",
    "recurrent",
    "torch",
    "petsc",
]


def run(family, memory, kept):
    code = f"import sys; sys.path[:0] = {PATHS}; import runpy; sys.argv = sys.argv[1:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(SCRIPT), family, str(memory), str(kept)]
    done = subprocess.run(
        command,
        env=os.environ | ({"MALLOC_MMAP_THRESHOLD_": "65536"} if family == "torch" else {}),
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kept", [0, 30], ids=["planned", "tapes kept"])
@pytest.mark.parametrize("family", FAMILIES)
def test_peak(family, kept):
    pytest.importorskip(NEEDS.get(family, "numpy"))
    forward, found = run(family, 0, 0), run(family, MEMORY, kept)
    assert 0 < found["reported"] <= MEMORY
    assert found["peak"] - forward["peak"] <= 1.05 * MEMORY + (16 << 20)
