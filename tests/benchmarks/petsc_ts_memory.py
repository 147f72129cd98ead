"""Memory of a long run through `TSStepper`, compared with PETSc's memory trajectory.

    python tests/benchmarks/petsc_ts_memory.py [--steps 100000] [--cells 16] [--memory "64 MiB"]

Each way runs in a process of its own, which tells how much its resident memory grew above what it
had when everything was set up. PETSc's trajectory of files is not run: it would write a file a
step.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from petsc_ts_problem import PETSc, Reaction

import adjoint

METHOD = "rk 3bs"


def resident_bytes(line: str) -> int:
    for found in Path("/proc/self/status").read_text().splitlines():
        if found.startswith(line):
            return 1024 * int(found.split()[1])
    raise RuntimeError(f"no {line} in /proc/self/status")


def through_stepper(cells: int, num_steps: int, memory: str) -> str:
    stepper = Reaction(METHOD, cells, num_steps).stepper()
    result = adjoint.gradient(stepper, num_steps, memory=memory)
    return f"{result.report.schedule}"


def with_trajectory(cells: int, num_steps: int) -> str:
    PETSc.Options()["ts_trajectory_type"] = "memory"
    reaction = Reaction(METHOD, cells, num_steps)
    ts, u = reaction.ts, reaction.u
    adjoint_vector = u.duplicate()
    adjoint_vector.set(0.0)
    ts.setSaveTrajectory()
    ts.setFromOptions()
    ts.setCostGradients([adjoint_vector])
    ts.solve(u)
    reaction.cost_vjp(u, adjoint_vector, None)
    ts.adjointSolve()
    return "-ts_trajectory_type memory"


def run(given: argparse.Namespace) -> None:
    Reaction(METHOD, given.cells, given.steps)
    before, began = resident_bytes("VmRSS:"), time.perf_counter()
    if given.way == "stepper":
        told = through_stepper(given.cells, given.steps, given.memory)
    else:
        told = with_trajectory(given.cells, given.steps)
    grown = (resident_bytes("VmHWM:") - before) / 1e6
    print(f"{given.way:12}{grown:10.1f} MB{time.perf_counter() - began:9.1f} s   {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--memory", default="64 MiB")
    parser.add_argument("--way", choices=("stepper", "trajectory"))
    given = parser.parse_args()
    if given.way is not None:
        run(given)
        return
    state = 16 * given.cells**2 / 1e6
    print(f"{given.steps} steps of {state:.4f} MB: {given.steps * state:.0f} MB of states")
    for way in ("stepper", "trajectory"):
        subprocess.run([sys.executable, *sys.argv, "--way", way], check=True)


if __name__ == "__main__":
    main()
