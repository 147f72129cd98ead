"""Memory of a gradient over many implicit steps, libraries included.

    python tests/benchmarks/implicit_memory.py [--cells 32] [--steps 100000] [--memory "16 MiB"]

Heat in a plate by Crank-Nicolson, one process. *before* is what the process had resident once the
first step was taken; *peak* the most it ever had (``VmHWM`` of ``/proc/self/status``).
"""

import argparse
import time
from pathlib import Path

import numpy as np

import adjoint
from adjoint.units import format_bytes
from solvers import Sensors
from solvers.petsc import CrankNicolson
from solvers.petsc.problems import Heat

SIZE = 1e-4


def resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}: this needs Linux")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--memory", default="16 MiB")
    given = parser.parse_args()
    middle = (given.cells // 2, given.cells // 2)
    sensors = Sensors([middle], [given.steps * SIZE], np.ones((1, 1)))
    plate = Heat((given.cells, given.cells), source=1.0, sensors=sensors)
    stepper = CrankNicolson(plate, SIZE)
    stepper.start()
    stepper.advance(0, 1)
    before, began = resident("VmRSS"), time.perf_counter()
    result = adjoint.gradient(stepper, given.steps, memory=given.memory)
    seconds, peak = time.perf_counter() - began, resident("VmHWM")
    assert all(np.isfinite(array).all() for array in result.gradient.values())
    print(f"before      {format_bytes(before)}")
    print(f"peak        {format_bytes(peak)}: {format_bytes(peak - before)} more")
    print(f"trajectory  {format_bytes(result.report.trajectory_bytes)}, {given.steps} steps")
    print(f"recomputed  {result.report.recomputation_factor:.2f}, {seconds:.0f} s in all")


if __name__ == "__main__":
    main()
