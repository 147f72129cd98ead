"""Peak resident memory of a gradient against that of stepping forward only.

    python tests/benchmarks/peak_memory.py [--gigabytes 0.5 5] [--memory "64 MiB"] [--folder DIR]

Shallow water in a closed basin, one process, states of 2 MB, a trajectory of each size given. Each
figure is of a process of its own (``VmHWM`` of ``/proc/self/status``). ``--gigabytes 50`` takes
some minutes and writes up to as much to the folder.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from closed_basin import closed_basin

import adjoint
from adjoint.units import format_bytes, parse_bytes

STATE_BYTES = 2_000_000


def peak_bytes() -> int:
    """Return the most memory this process had resident. (A parent passes on its ru_maxrss.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status has no VmHWM: this needs Linux")


def measure(mode: str, num_steps: int, memory: str, folder: str) -> dict[str, float]:
    """Run in this process: forward only, or a gradient, with or without a file."""
    stepper = closed_basin(STATE_BYTES)
    figures: dict[str, float] = {}
    if mode == "forward":
        with adjoint.Functional(stepper, num_steps) as functional:
            functional.value()
    else:
        file = folder if mode == "file" else None
        result = adjoint.gradient(stepper, num_steps, memory=memory, file=file)
        assert all(np.isfinite(g).all() for g in result.gradient.values())
        report = result.report
        figures = {"memory": report.memory_bytes, "written": report.bytes_written}
    return {"peak": peak_bytes(), **figures}


def in_a_process(mode: str, num_steps: int, memory: str, folder: str) -> dict[str, float]:
    """Run `measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", mode, str(num_steps), memory, folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.5, 5.0])
    parser.add_argument("--memory", default="64 MiB")
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        mode, num_steps, memory, folder = given.measure
        print(json.dumps(measure(mode, int(num_steps), memory, folder)))
        return
    print(f"{'trajectory':>11}{'':10}{'forward':>10}{'gradient':>10}{'allowed':>10}{'to file':>10}")
    for size in given.gigabytes:
        num_steps = int(size * 1e9 / STATE_BYTES)
        forward = in_a_process("forward", num_steps, given.memory, given.folder)["peak"]
        for mode in ("memory", "file"):
            found = in_a_process(mode, num_steps, given.memory, given.folder)
            allowed = parse_bytes(given.memory) + 1.2 * forward
            row = [format_bytes(x) for x in (forward, found["peak"], allowed, found["written"])]
            print(f"{size:8.1f} GB  {mode:8}" + "".join(f"{x:>10}" for x in row), flush=True)


if __name__ == "__main__":
    main()
